import { ByeCode, type ByeCodeValue } from '@filbert/gnutella';
import { Durations } from '@filbert/kit';

/** Why a frame from a peer went no further at the edge: labels of `filbert_connections_frames_dropped_total`. */
export const FRAME_DROP_REASONS = [
  'hops-exceeded',
  'ttl-zero',
  'ttl-beyond-limit',
  'leaf-query-rate',
  'requery',
  'repeated-query',
  'near-guid',
  'greedy-query',
  'null-guid',
  'malformed',
  'unusable-address',
  'unknown-function',
  'not-for-us',
  'throttled',
] as const;
export type FrameDropReason = (typeof FRAME_DROP_REASONS)[number];

/** How handshakes ended: labels of `filbert_connections_handshakes_total`. */
export const HANDSHAKE_RESULTS = ['connected', 'refused', 'refused-by-peer', 'failed', 'lost', 'crawler'] as const;
export type HandshakeResult = (typeof HANDSHAKE_RESULTS)[number];

/** How long the handshakes of one direction took, those that led to a link apart from the others. */
export interface HandshakeDurations {
  readonly connected: Durations;
  readonly other: Durations;
}

/** Why an incoming connection was closed before its handshake. */
export const CONNECTION_REFUSALS = [
  'too-many-handshakes',
  'throttled',
  'draining',
  'not-gnutella',
  'private-address',
] as const;

/** Codes of the BYEs that end links (docs/protocol/02 §7): labels of `filbert_connections_byes_total`. */
export const BYE_CODES: readonly `${ByeCodeValue}`[] = Object.values(ByeCode).map((code) => `${code}` as const);

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}

/** What one link moved. */
export interface LinkTraffic {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
}

/** What the edge did since it started: plain numbers, read at scrape time. */
export class EdgeCounters {
  readonly framesDropped = zeros(FRAME_DROP_REASONS);
  readonly incoming = zeros(HANDSHAKE_RESULTS);
  readonly outgoing = zeros(HANDSHAKE_RESULTS);
  /** From the first bytes of the peer, or from the dialled connection, to the outcome. */
  readonly incomingTook: HandshakeDurations = { connected: new Durations(), other: new Durations() };
  readonly outgoingTook: HandshakeDurations = { connected: new Durations(), other: new Durations() };
  /** From a shard's sending of a batch to the edge's turn for it. */
  readonly egressAge = new Durations();
  readonly refused = zeros(CONNECTION_REFUSALS);
  /** Links that we ended, by the code of the BYE. */
  readonly byes = new Map<number, number>();
  accepted = 0;
  dials = 0;
  dialsFailed = 0;
  linksClosed = 0;
  deliveries = 0;
  /** Deliveries whose link was gone, whose batch named another epoch, or whose queue was full. */
  deliveriesUnknownLink = 0;
  deliveriesOldEpoch = 0;
  deliveriesQueueFull = 0;
  flushes = 0;
  /** Of links that are gone, so that totals do not fall. */
  readonly closedLinks = {
    bytesIn: 0,
    bytesOut: 0,
    messagesIn: 0,
    messagesOut: 0,
    dropped: 0,
    /** In the order of `OUT_CLASS_NAMES`. */
    droppedByClass: [] as number[],
  };

  /** Adds up what a link that is gone had counted. */
  countClosed(link: LinkTraffic, droppedByClass: ArrayLike<number>): void {
    const { closedLinks } = this;
    this.linksClosed++;
    closedLinks.bytesIn += link.bytesIn;
    closedLinks.bytesOut += link.bytesOut;
    closedLinks.messagesIn += link.messagesIn;
    closedLinks.messagesOut += link.messagesOut;
    for (let kind = 0; kind < droppedByClass.length; kind++) {
      const dropped = droppedByClass[kind] ?? 0;
      closedLinks.dropped += dropped;
      closedLinks.droppedByClass[kind] = (closedLinks.droppedByClass[kind] ?? 0) + dropped;
    }
  }
}
