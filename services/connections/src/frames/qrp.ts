import { HEADER_BYTES, HOPS_OFFSET, QrpVariant, TTL_OFFSET } from '@filbert/gnutella';
import { nextPaid } from '../cell-rate.ts';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** After a RESET the old table answers until the new one is complete, at most so long (docs/protocol/README.md). */
export const RESET_GRACE_MS = 60_000;
/** A patch sequence whose next message does not come for this long is forgotten (docs/protocol/12 §7). */
export const HALF_PATCH_MS = 120_000;
/**
 * Slots that one link may have us work through: so many at once, which is the largest table twice or 16 of 2^21 slots,
 * then so many a second, which is a table of 2^21 slots every 16 s. More ends the link (docs/protocol/12 §5).
 */
export const QRP_SLOTS_BURST = 2 ** 25;
export const QRP_SLOTS_PER_SECOND = 2 ** 17;
/** The least that a patch sequence, and that a RESET, counts as, in slots. */
export const QRP_PATCH_LEAST_SLOTS = 2 ** 13;
export const QRP_RESET_SLOTS = 2 ** 10;

/** Takes a QRP message; what changes in the link's table is told to the shards (docs/protocol/05 §3). */
export function handleQrp(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const mayRoute = !link.isUltrapeer || link.peer.ultrapeerQueryRouting;
  if (!mayRoute || (bytes[start + HOPS_OFFSET] as number) !== 0 || (bytes[start + TTL_OFFSET] as number) > 1) {
    return dropBad(context, link, 'not-for-us');
  }
  if (!mayWork(context, link, workOf(link, bytes[start + HEADER_BYTES]))) {
    link.bye(413, 'Too many QRP updates');
    return;
  }
  const event = link.tables.receive(bytes.subarray(start + HEADER_BYTES, end));
  if (event.kind !== 'partial' && !link.tables.receiving) context.halfPatches.finished(link);
  switch (event.kind) {
    case 'reset':
      link.resetAt ??= context.now();
      link.halfPatchAt = undefined;
      return;
    case 'partial':
      link.halfPatchAt = context.now();
      context.halfPatches.progressed(link);
      return;
    case 'updated':
      link.resetAt = undefined;
      link.halfPatchAt = undefined;
      context.reporter.table(link, event.table);
      return;
    case 'ignored':
      return dropBad(context, link, 'malformed');
    case 'fault':
      link.bye(413, event.reason);
  }
}

/**
 * Ends the grace of links whose RESET was not followed by a complete table, and forgets patches that stopped half-way;
 * call it about once a second. A patch that still comes, slowly, goes on.
 */
export function expireResets(context: EdgeContext): void {
  const now = context.now();
  for (const link of context.links.all()) {
    if (link.halfPatchAt !== undefined && now - link.halfPatchAt >= HALF_PATCH_MS) {
      context.halfPatches.drop(link, 'stalled');
    }
    if (link.resetAt === undefined || now - link.resetAt < RESET_GRACE_MS) continue;
    link.resetAt = undefined;
    context.reporter.table(link, undefined);
  }
}

/** Slots that a message has us work through: those of the table where it begins a patch sequence. */
function workOf(link: PeerLink, variant: number | undefined): number {
  if (variant !== QrpVariant.PATCH) return QRP_RESET_SLOTS;
  return link.tables.receiving ? 0 : Math.max(QRP_PATCH_LEAST_SLOTS, link.tables.announcedSlots);
}

function mayWork(context: EdgeContext, link: PeerLink, slots: number): boolean {
  const paidAt = nextPaid(link.qrpPaidAt, context.now(), slots, QRP_SLOTS_BURST, QRP_SLOTS_PER_SECOND);
  if (paidAt === undefined) return false;
  link.qrpPaidAt = paidAt;
  return true;
}
