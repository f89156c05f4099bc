import {
  decodePing,
  Descriptor,
  encodeFrame,
  encodePing,
  encodePong,
  findGgep,
  GgepId,
  guidAt,
  HEADER_BYTES,
  HOPS_OFFSET,
  ipv4FromText,
  parsePeerAddress,
  pingPurpose,
  randomMessageGuid,
  ScpFlag,
  TTL_OFFSET,
  type GgepField,
  type Guid,
  type PeerAddress,
  type PingPurpose,
} from '@filbert/gnutella';
import { randomBytes } from 'node:crypto';
import { nextDue } from '../cell-rate.ts';
import { OutClass } from '../link/out-queue.ts';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** A peer's pings for other hosts' pongs are answered at most this often (docs/protocol/04 §3). */
const PING_THROTTLE_MS = 3_000;
const LEAF_PING_THROTTLE_MS = 60_000;
/** So are its pings for our neighbours: the answer is many times as long as the question. */
export const NEIGHBOUR_PING_THROTTLE_MS = 3_000;
/**
 * Alive pings of a peer that are answered: so many at once, then one each interval. It sends one in many seconds; deflated,
 * a flood of them takes a hundredth of the bytes of its answers.
 */
export const ALIVE_PING_BURST = 500;
export const ALIVE_PING_INTERVAL_MS = 20;
/** Pongs that one ping gets beside ours. */
const PONGS_PER_PING = 10;
/** Hosts packed into one pong (docs/protocol/12 §6). */
const PACKED_HOSTS = 10;
const MAX_TTL = 4;
/** TTL of the pings that refill the cache. */
const REFILL_TTL = 4;

/** Answers a PING out of the facts and the pong cache; it is never relayed (docs/protocol/04 §3). */
export function handlePing(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const hops = bytes[start + HOPS_OFFSET] as number;
  const ttl = bytes[start + TTL_OFFSET] as number;
  const purpose = pingPurpose(hops, ttl);
  // Before anything is made of it: a flood of pings must cost little.
  if (isThrottled(context, link, purpose)) {
    context.counters.framesDropped.throttled++;
    return;
  }
  const ping = decodePing(bytes, start + HEADER_BYTES, end);
  if (!ping.ok) return dropBad(context, link, 'malformed');
  switch (purpose) {
    case 'alive':
      sendOwnPong(context, link, guidAt(bytes, start), 1, OutClass.control);
      return;
    case 'acknowledgement':
      link.alivePingsUnanswered = 0;
      return;
    case 'crawler':
      return sendNeighbours(context, link, guidAt(bytes, start));
    case 'refill': {
      const packs = findGgep(ping.value.ggep, GgepId.SUPPORTS_CACHED_PONGS) !== undefined;
      return answerRefill(context, link, guidAt(bytes, start), hops, ttl, packs);
    }
  }
}

function isThrottled(context: EdgeContext, link: PeerLink, purpose: PingPurpose): boolean {
  switch (purpose) {
    case 'alive': {
      const due = nextDue(link.nextAlivePingAt, context.now(), ALIVE_PING_BURST, ALIVE_PING_INTERVAL_MS);
      if (due !== undefined) link.nextAlivePingAt = due;
      return due === undefined;
    }
    case 'crawler':
      return context.now() < link.acceptNeighbourPingsAfter;
    case 'refill':
      return context.now() < link.acceptPingsAfter;
    case 'acknowledgement':
      return false;
  }
}

/** A PING that keeps the link alive: TTL 1, answered at once by every servent. */
export function sendAlivePing(link: PeerLink): void {
  link.send(OutClass.control, encodePing({ guid: randomMessageGuid(randomBytes), ttl: 1 }));
}

/** A PING for others' pongs, which also says that we take packed ones. */
export function sendRefillPing(link: PeerLink, ttl = REFILL_TTL): void {
  const scp: GgepField = { id: GgepId.SUPPORTS_CACHED_PONGS, value: Uint8Array.of(ScpFlag.WANTS_ULTRAPEERS) };
  link.send(OutClass.ping, encodePing({ guid: randomMessageGuid(randomBytes), ttl }, [scp]));
}

function answerRefill(
  context: EdgeContext,
  link: PeerLink,
  guid: Guid,
  hops: number,
  ttl: number,
  packs: boolean,
): void {
  link.acceptPingsAfter = context.now() + (link.isUltrapeer ? PING_THROTTLE_MS : LEAF_PING_THROTTLE_MS);
  const replyTtl = Math.min(hops + 1, MAX_TTL);
  if (packs) {
    // One pong with other hosts packed into it, instead of many.
    sendOwnPong(context, link, guid, replyTtl, OutClass.pong, packedHosts(context, link));
    link.answeredFirstPing = true;
    return;
  }
  const { leaves, ultrapeers } = context.freeSlots();
  if (!link.answeredFirstPing || leaves + ultrapeers > 0) {
    sendOwnPong(context, link, guid, replyTtl, OutClass.pong);
  }
  link.answeredFirstPing = true;
  for (const pong of context.pongs.choose(PONGS_PER_PING, link, ttl, !link.isUltrapeer)) {
    const frame = pongFrame(guid, replyTtl, pong.hops + 1, pong.payload);
    link.send(OutClass.pong, frame);
  }
}

/** One pong an ultrapeer neighbour, for crawlers (docs/protocol/04 §3). */
function sendNeighbours(context: EdgeContext, link: PeerLink, guid: Guid): void {
  link.acceptNeighbourPingsAfter = context.now() + NEIGHBOUR_PING_THROTTLE_MS;
  for (const neighbour of context.linkedUltrapeers()) {
    const address = parsePeerAddress(neighbour);
    if (neighbour === link.listenAddress || address === undefined) continue;
    const ip = ipv4FromText(address.host);
    if (ip === undefined) continue;
    const fields = { port: address.port, ip, files: 0, kib: 0, isUltrapeer: true };
    link.send(OutClass.pong, encodePong({ guid, ttl: 1, hops: 1 }, fields));
  }
}

function sendOwnPong(
  context: EdgeContext,
  link: PeerLink,
  guid: Guid,
  ttl: number,
  kind: OutClass,
  hosts: readonly PeerAddress[] = [],
): void {
  const { ownPong } = context;
  const payload = hosts.length > 0 ? ownPong.payloadWith(link, hosts) : ownPong.payload(link);
  if (payload !== undefined) link.send(kind, pongFrame(guid, ttl, 0, payload));
}

function packedHosts(context: EdgeContext, link: PeerLink): PeerAddress[] {
  const hosts: PeerAddress[] = [];
  for (const text of context.knownUltrapeers(PACKED_HOSTS, link.listenAddress)) {
    const address = parsePeerAddress(text);
    if (address !== undefined && ipv4FromText(address.host) !== undefined) hosts.push(address);
  }
  return hosts;
}

function pongFrame(guid: Guid, ttl: number, hops: number, payload: Uint8Array): Uint8Array {
  return encodeFrame({ guid, ttl, hops }, Descriptor.PONG, payload);
}
