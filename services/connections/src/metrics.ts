import { declareIngressFrames } from '@filbert/contracts';
import type { Metrics } from '@filbert/kit';
import { BYE_CODES, CONNECTION_REFUSALS, FRAME_DROP_REASONS, HANDSHAKE_RESULTS } from './counters.ts';
import type { Edge } from './edge.ts';
import { HALF_PATCH_DROP_REASONS } from './frames/half-patches.ts';
import { HAND_OVER_RESULTS } from './hand-over.ts';
import { OUT_CLASS_NAMES } from './link/out-queue.ts';

/** Declares what the connections service tells: all of it is read from plain numbers at scrape time. */
export function declareMetrics(metrics: Metrics, edge: Edge): void {
  const { counters, links } = edge;
  metrics.gaugeFrom('links', 'Links by role.', { role: ['leaf', 'ultrapeer'] }, () => [
    { labels: { role: 'leaf' }, value: links.leaves.size },
    { labels: { role: 'ultrapeer' }, value: links.ultrapeers.size },
  ]);
  metrics.gaugeFrom('slots', 'Links that the node may hold, by role.', { role: ['leaf', 'ultrapeer'] }, () => [
    { labels: { role: 'leaf' }, value: edge.maxLeaves },
    { labels: { role: 'ultrapeer' }, value: edge.maxUltrapeers },
  ]);
  metrics.gaugeFrom('handshaking', 'Connections in their handshake.', () => edge.handshaking);
  metrics.gaugeFrom('pongs_cached', 'Pongs in the cache.', () => edge.pongsCached);
  metrics.gaugeFrom('compression_bytes', 'Memory taken by compressed links.', () => edge.budget.usedBytes);
  metrics.counterFrom('compression_denied_total', 'Streams denied for lack of budget.', () => edge.budget.denied);
  metrics.counterFrom('accepted_total', 'Incoming connections.', () => counters.accepted);
  metrics.counterFrom('dials_total', 'Dials that reached a peer.', () => counters.dials);
  metrics.counterFrom('dials_failed_total', 'Dials that reached nobody.', () => counters.dialsFailed);
  metrics.counterFrom(
    'byes_total',
    'Links that we ended, by the code of the BYE (sent where the peer understands it).',
    { code: BYE_CODES },
    () => BYE_CODES.map((code) => ({ labels: { code }, value: counters.byes.get(Number(code)) ?? 0 })),
  );
  metrics.counterFrom('links_closed_total', 'Links that ended.', () => counters.linksClosed);
  metrics.counterFrom(
    'hosts_refused_total',
    'Addresses learned from peers and not passed on: unusable, or too many.',
    () => edge.hostsRefused,
  );
  metrics.counterFrom(
    'votes_refused_total',
    'Words of peers about our address that were not passed on: unusable, or too many.',
    () => edge.votesRefused,
  );
  metrics.counterFrom('flushes_total', 'Links flushed.', () => edge.flushes.flushes);
  metrics.gaugeFrom('reads_waiting', 'Links with bytes that wait to be read.', () => edge.readTurns.waiting);
  metrics.counterFrom(
    'read_waits_total',
    'Times that a link had to wait before more of it was read: it sends faster than we work, or shards are behind.',
    () => edge.readTurns.waits,
  );
  metrics.counterFrom(
    'handshakes_total',
    'Handshakes by direction and result.',
    { direction: ['in', 'out'], result: HANDSHAKE_RESULTS },
    () =>
      HANDSHAKE_RESULTS.flatMap((result) => [
        { labels: { direction: 'in' as const, result }, value: counters.incoming[result] },
        { labels: { direction: 'out' as const, result }, value: counters.outgoing[result] },
      ]),
  );
  metrics.counterFrom(
    'connections_refused_total',
    'Connections closed before a handshake, by reason.',
    { reason: CONNECTION_REFUSALS },
    () => CONNECTION_REFUSALS.map((reason) => ({ labels: { reason }, value: counters.refused[reason] })),
  );
  metrics.counterFrom(
    'frames_dropped_total',
    'Frames from peers that went no further, by reason.',
    { reason: FRAME_DROP_REASONS },
    () => FRAME_DROP_REASONS.map((reason) => ({ labels: { reason }, value: counters.framesDropped[reason] })),
  );
  metrics.durationsFrom(
    'handshake_seconds',
    'Time of handshakes, by direction and whether they led to a link.',
    { direction: ['in', 'out'], result: ['connected', 'other'] },
    () => [
      { labels: { direction: 'in', result: 'connected' }, durations: counters.incomingTook.connected },
      { labels: { direction: 'in', result: 'other' }, durations: counters.incomingTook.other },
      { labels: { direction: 'out', result: 'connected' }, durations: counters.outgoingTook.connected },
      { labels: { direction: 'out', result: 'other' }, durations: counters.outgoingTook.other },
    ],
  );
  metrics.durationsFrom(
    'egress_age_seconds',
    'Age of batches from the router when the edge took them.',
    () => counters.egressAge,
  );
  metrics.counterFrom(
    'queries_trimmed_total',
    'Queries for every file of a kind that were sent on with a lower TTL.',
    () => edge.queryFilter.trimmed,
  );
  metrics.gaugeFrom(
    'half_patch_bytes',
    'Memory held for tables that come in several patches.',
    () => edge.halfPatches.bytes,
  );
  metrics.counterFrom(
    'half_patches_dropped_total',
    'Tables in several patches that were forgotten before the last one, by reason.',
    { reason: HALF_PATCH_DROP_REASONS },
    () => HALF_PATCH_DROP_REASONS.map((reason) => ({ labels: { reason }, value: edge.halfPatches.dropped[reason] })),
  );
  declareIngressFrames(metrics, () => edge.ingress?.counters);
  metrics.counterFrom(
    'deliveries_total',
    'Frames from the router for links, by what became of them.',
    { result: ['queued', 'unknown-link', 'old-epoch', 'queue-full'] },
    () => [
      { labels: { result: 'queued' }, value: counters.deliveries },
      { labels: { result: 'unknown-link' }, value: counters.deliveriesUnknownLink },
      { labels: { result: 'old-epoch' }, value: counters.deliveriesOldEpoch },
      { labels: { result: 'queue-full' }, value: counters.deliveriesQueueFull },
    ],
  );
  metrics.counterFrom(
    'transfers_handed_over_total',
    'HTTP and GIV connections on the Gnutella port, by what became of them.',
    { result: HAND_OVER_RESULTS },
    () => HAND_OVER_RESULTS.map((result) => ({ labels: { result }, value: edge.handOver.results[result] })),
  );
  metrics.gaugeFrom('transfers_piped', 'Connections piped to transfers workers.', () => edge.handOver.active);
  metrics.gaugeFrom('queued_bytes', 'Bytes that wait for links.', () => {
    let bytes = 0;
    for (const link of links.all()) bytes += link.queue.bytes;
    return bytes;
  });
  metrics.counterFrom(
    'queue_dropped_total',
    'Frames dropped from queues of live links, by class.',
    { class: OUT_CLASS_NAMES },
    () => {
      const dropped = new Array<number>(OUT_CLASS_NAMES.length).fill(0);
      for (let i = 0; i < dropped.length; i++) dropped[i] = counters.closedLinks.droppedByClass[i] ?? 0;
      for (const link of links.all()) link.queue.dropped.forEach((n, i) => (dropped[i] = (dropped[i] ?? 0) + n));
      return OUT_CLASS_NAMES.map((name, i) => ({ labels: { class: name }, value: dropped[i] ?? 0 }));
    },
  );
  const traffic = (
    name: string,
    help: string,
    read: (counters: { bytesIn: number; bytesOut: number; messagesIn: number; messagesOut: number }) => number,
  ): void => {
    metrics.counterFrom(name, help, () => {
      let sum = read(counters.closedLinks);
      for (const link of links.all()) sum += read(link.counters);
      return sum;
    });
  };
  traffic('received_bytes_total', 'Bytes from peers.', (link) => link.bytesIn);
  traffic('sent_bytes_total', 'Bytes to peers.', (link) => link.bytesOut);
  traffic('received_messages_total', 'Messages from peers.', (link) => link.messagesIn);
  traffic('sent_messages_total', 'Messages to peers.', (link) => link.messagesOut);
}
