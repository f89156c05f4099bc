import type { BadInputResult } from './bad-input.ts';
import type { RelayResult } from './relay.ts';

/** Most CPU time of all Filbert processes by queries relayed, embedded, in µs, by the number of leaves. */
const CPU_PER_QUERY_US: ReadonlyMap<number, number> = new Map([
  [300, 20],
  [4_000, 45],
]);

/** Most that a flood of bad input may lift the p99 of well-behaved links: the median ratio of the pairs. */
const MAX_P99_RATIO = 1.2;

/** What a measurement missed of the targets, a sentence each; none where it meets them. */
export function missedTargets(result: RelayResult | BadInputResult): string[] {
  const missed = 'pairs' in result ? missedByBadInput(result) : missedByRelay(result);
  return missed.map((sentence) => `${result.mode}, ${result.leaves} leaves: ${sentence}`);
}

function missedByRelay(result: RelayResult): string[] {
  const missed = disturbances({
    'deliveries lost': result.lost,
    'deliveries late': result.late,
    'deliveries made twice': result.duplicates,
    'deliveries not expected': result.unexpected,
    'links ended by the node': result.disconnected,
  });
  const most = CPU_PER_QUERY_US.get(result.leaves);
  // NaN must not pass.
  if (result.mode === 'embedded' && most !== undefined && !(result.cpuPerQueryUs <= most)) {
    missed.push(`${result.cpuPerQueryUs.toFixed(1)} µs of CPU per query; the target is at most ${most} µs`);
  }
  return missed;
}

function missedByBadInput(result: BadInputResult): string[] {
  const missed = disturbances({
    'deliveries lost': result.lost,
    'deliveries made twice or not expected': result.unexpected,
    'links ended by the node': result.disconnected,
  });
  if (!result.nodeServes) missed.push('the node does not serve any more');
  if (!(result.ratio <= MAX_P99_RATIO)) {
    missed.push(
      `under the flood p99 is ${result.ratio.toFixed(2)} times what it is without; the target is at most ${MAX_P99_RATIO}`,
    );
  }
  return missed;
}

function disturbances(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts).flatMap(([what, count]) =>
    count === 0 ? [] : [`${count} ${what}; the target is none`],
  );
}
