import { connectionsV1, routerV1 } from '@filbert/contracts';
import { callUnary, RpcError } from '@filbert/kit';
import { CALL_TIMEOUT_MS, MAX_SENTENCE_CHARS, type Client } from '../control/control-client.ts';
import { printable } from './show.ts';

/** Says so, on stderr, where the network cannot be asked: no peers, or a part of the node is away. Never rejects. */
export async function sayWhoCannotBeAsked(client: Client): Promise<void> {
  const options = { timeoutMs: CALL_TIMEOUT_MS };
  const [edges, router] = await Promise.allSettled([
    callUnary(client, connectionsV1.ConnectionsServiceService.getStats, {}, options),
    callUnary(client, routerV1.RouterServiceService.getStats, {}, options),
  ]);
  for (const { reason } of [edges, router].filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]) {
    // A single service has no links to tell of.
    if (!(reason instanceof RpcError) || reason.kind === 'unimplemented') continue;
    console.error(`the network may not be asked: ${printable(reason.message, MAX_SENTENCE_CHARS)}`);
  }
  if (edges.status === 'rejected') return;
  const away = busAway(edges.value.edges);
  if (away !== undefined) console.error(`the network cannot be asked: ${away}`);
  if (edges.value.edges.some(({ leaves, ultrapeers }) => leaves + ultrapeers > 0)) return;
  console.error(
    'the node has no peers that could be asked; "filbert connect" dials one (its own files are no results)',
  );
}

/** A sentence where the bus is away from an edge. */
export function busAway(edges: readonly connectionsV1.EdgeStats[]): string | undefined {
  const names = edges.filter((edge) => edge.busAway).map(({ edgeId }) => printable(edgeId));
  return names.length === 0 ? undefined : `NATS is away from ${names.join(', ')}: nothing is routed`;
}
