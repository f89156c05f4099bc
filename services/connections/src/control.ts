import { connectionsV1 } from '@filbert/contracts';
import { rpcService, type RpcService } from '@filbert/kit';
import type { Edge } from './edge.ts';
import type { PeerLink } from './link/peer-link.ts';

/** Longest time that an answer waits for the end of a dial, ms. */
const MAX_DIAL_WAIT_MS = 60_000;

/** gRPC control of one edge. */
export function connectionsControl(edge: Edge): RpcService {
  return rpcService(connectionsV1.ConnectionsServiceService, {
    // eslint-disable-next-line @typescript-eslint/require-await -- a stream is an async generator, also where nothing waits
    async *listLinks() {
      for (const link of edge.links.all()) yield describeLink(edge, link);
    },
    async connect({ address, waitMs }, { signal }) {
      const { DialOutcome } = connectionsV1;
      const refusal = edge.connect(address);
      if (refusal !== undefined) {
        return { accepted: false, reason: refusal, outcome: DialOutcome.DIAL_OUTCOME_UNSPECIFIED };
      }
      const enough = AbortSignal.any([signal, AbortSignal.timeout(Math.min(waitMs, MAX_DIAL_WAIT_MS))]);
      const end = waitMs === 0 ? undefined : await edge.whenDialled(address, enough);
      if (end === undefined) return { accepted: true, reason: '', outcome: DialOutcome.DIAL_OUTCOME_UNSPECIFIED };
      const { problem } = end;
      return {
        accepted: true,
        reason: problem ?? '',
        outcome: problem === undefined ? DialOutcome.DIAL_OUTCOME_LINKED : DialOutcome.DIAL_OUTCOME_FAILED,
      };
    },
    disconnect({ edgeId, link, reason }) {
      return { found: (edgeId === '' || edgeId === edge.edgeId) && edge.disconnect(link, reason) };
    },
    getStats() {
      return { edges: [edgeStats(edge)] };
    },
  });
}

function edgeStats(edge: Edge): connectionsV1.EdgeStats {
  let { messagesIn, messagesOut, dropped } = edge.counters.closedLinks;
  for (const link of edge.links.all()) {
    messagesIn += link.counters.messagesIn;
    messagesOut += link.counters.messagesOut;
    for (const count of link.queue.dropped) dropped += count;
  }
  return {
    edgeId: edge.edgeId,
    leaves: edge.links.leaves.size,
    maxLeaves: edge.maxLeaves,
    ultrapeers: edge.links.ultrapeers.size,
    maxUltrapeers: edge.maxUltrapeers,
    handshaking: edge.handshaking,
    messagesIn,
    messagesOut,
    droppedOut: dropped,
    listenAddress: edge.listenAddress,
    startedAtMs: edge.startedAtMs,
    busAway: edge.isBusAway,
  };
}

function describeLink(edge: Edge, link: PeerLink): connectionsV1.ListLinksResponse {
  let droppedOut = 0;
  for (const count of link.queue.dropped) droppedOut += count;
  return {
    edgeId: edge.edgeId,
    link: link.number,
    kind: link.role,
    remoteAddress: link.remoteIp.includes(':')
      ? `[${link.remoteIp}]:${link.remotePort}`
      : `${link.remoteIp}:${link.remotePort}`,
    listenAddress: link.listenAddress,
    userAgent: link.peer.userAgent ?? '',
    outgoing: link.outgoing,
    deflateIn: link.deflatesIn,
    deflateOut: link.deflatesOut,
    connectedAtMs: link.connectedAtMs,
    bytesIn: link.counters.bytesIn,
    bytesOut: link.counters.bytesOut,
    messagesIn: link.counters.messagesIn,
    messagesOut: link.counters.messagesOut,
    droppedOut,
    queuedBytes: link.queue.bytes,
    tableBits: link.table?.bits ?? 0,
    tableSlotsSet: link.table?.count ?? 0,
    hopsFlow: link.hopsFlow,
  };
}
