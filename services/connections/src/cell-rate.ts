/**
 * Generic cell rate: `burst` events at once, then one each `intervalMs`.
 * @param due when the next one is due, ms; -Infinity before the first
 * @returns when the one after this is due; undefined where this one comes too early
 */
export function nextDue(due: number, now: number, burst: number, intervalMs: number): number | undefined {
  const earliest = Math.max(due, now - (burst - 1) * intervalMs);
  return earliest > now ? undefined : earliest + intervalMs;
}

/**
 * The same for events that weigh differently: work of `burst` at once, then `perSecond`.
 * @param paidAt when all work so far is paid off, ms; -Infinity before the first
 * @returns when this work is paid off as well; undefined where there is no room for it yet
 */
export function nextPaid(
  paidAt: number,
  now: number,
  work: number,
  burst: number,
  perSecond: number,
): number | undefined {
  const paid = Math.max(paidAt, now) + (work / perSecond) * 1_000;
  return paid - now > (burst / perSecond) * 1_000 ? undefined : paid;
}
