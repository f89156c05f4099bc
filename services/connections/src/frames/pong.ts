import {
  decodePong,
  formatPeerAddress,
  HEADER_BYTES,
  HOPS_OFFSET,
  isUsablePeerAddress,
  pongAddress,
  readPackedHosts,
} from '@filbert/gnutella';
import { HostOutcome } from '@filbert/contracts';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** Payload of a pong that is kept for others; a longer one is kept without its extensions. */
const MAX_CACHED_PAYLOAD_BYTES = 256;
const PONG_BYTES = 14;
/**
 * Addresses, packed ones included, that are taken from one link within `ADDRESS_WINDOW_MS`, the time in which we ask for
 * ten pongs once: ten times as many from an ultrapeer, and few from a leaf, which has none but its own to tell. What
 * comes beyond is a flood that would fill caches with what one peer says (docs/protocol/04 §5 and §10).
 */
export const MAX_ADDRESSES_OF_ULTRAPEER = 100;
export const MAX_ADDRESSES_OF_LEAF = 10;
export const ADDRESS_WINDOW_MS = 20_000;

/** Takes a PONG into the cache and tells bootstrap of the host; it is never routed (docs/protocol/04 §5). */
export function handlePong(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const hops = bytes[start + HOPS_OFFSET] as number;
  if (hops === 0) link.alivePingsUnanswered = 0;
  if (!mayTell(context, link)) {
    context.counters.framesDropped.throttled++;
    return;
  }
  const payload = start + HEADER_BYTES;
  const decoded = decodePong(bytes, payload, end);
  if (!decoded.ok) return dropBad(context, link, 'malformed');
  const pong = decoded.value;
  link.addressesTold++;
  for (const { address } of readPackedHosts(pong.ggep)) {
    if (!mayTell(context, link)) break;
    link.addressesTold++;
    context.hosts.note(formatPeerAddress(address), HostOutcome.HOST_OUTCOME_LEARNED, true);
  }
  const address = pongAddress(pong);
  if (address === undefined || !isUsablePeerAddress(address, context)) {
    context.counters.framesDropped['unusable-address']++;
    return;
  }
  const text = formatPeerAddress(address);
  const own = context.ownAddress(link);
  if (own !== undefined && text === formatPeerAddress(own)) {
    context.counters.framesDropped['unusable-address']++;
    return;
  }
  if (pong.isUltrapeer) context.hosts.note(text, HostOutcome.HOST_OUTCOME_LEARNED, true);
  const kept = Math.min(end, end - payload > MAX_CACHED_PAYLOAD_BYTES ? payload + PONG_BYTES : end);
  context.pongs.add({
    address: text,
    hops,
    isUltrapeer: pong.isUltrapeer,
    from: link,
    payload: Uint8Array.prototype.slice.call(bytes, payload, kept),
  });
}

function mayTell(context: EdgeContext, link: PeerLink): boolean {
  const now = context.now();
  if (now - link.addressesSince >= ADDRESS_WINDOW_MS) {
    link.addressesSince = now;
    link.addressesTold = 0;
  }
  return link.addressesTold < (link.isUltrapeer ? MAX_ADDRESSES_OF_ULTRAPEER : MAX_ADDRESSES_OF_LEAF);
}
