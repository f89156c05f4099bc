import {
  decodeFeaturesSupported,
  decodeHopsFlow,
  decodeMessagesSupported,
  decodeVendorEnvelope,
  encodePushProxyAck,
  FeatureName,
  guidAt,
  HEADER_BYTES,
  HOPS_OFFSET,
  ipv4FromText,
  judgeServentGuid,
  TTL_OFFSET,
  type VendorEnvelope,
} from '@filbert/gnutella';
import { UNLIMITED_HOPS_FLOW } from '@filbert/contracts';
import { OutClass } from '../link/out-queue.ts';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** Hops from which on a hops-flow value means "every query" (docs/protocol/07 §7). */
const HOPS_FLOW_OPEN = 5;

/** Acts on a vendor message of the peer; none is ever forwarded (docs/protocol/07 §1). */
export function handleVendor(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  if ((bytes[start + HOPS_OFFSET] as number) !== 0 || (bytes[start + TTL_OFFSET] as number) > 1) {
    return dropBad(context, link, 'not-for-us');
  }
  const envelope = decodeVendorEnvelope(bytes, start + HEADER_BYTES, end);
  if (!envelope.ok) return dropBad(context, link, 'malformed');
  switch (envelope.value.name) {
    case 'MESSAGES_SUPPORTED':
      return onMessagesSupported(context, link, bytes, envelope.value);
    case 'FEATURES_SUPPORTED':
      return onFeatures(context, link, bytes, envelope.value);
    case 'HOPS_FLOW':
      return onHopsFlow(context, link, bytes, envelope.value);
    case 'PUSH_PROXY_REQUEST':
    case 'PUSH_PROXY_REQUEST_1':
      return onPushProxyRequest(context, link, bytes, start);
    case 'PUSH_PROXY_CANCEL':
      return onPushProxyCancel(context, link);
    default:
      // Known ones that we did not announce, and unknown ones: dropped in silence (docs/protocol/07 §1).
      context.counters.framesDropped['unknown-function']++;
  }
}

function onMessagesSupported(context: EdgeContext, link: PeerLink, bytes: Buffer, body: VendorEnvelope): void {
  // Nothing is kept of it: whatever we send to peers of our own accord goes to each that speaks vendor messages at all.
  const messages = decodeMessagesSupported(bytes, body.bodyStart, body.bodyEnd);
  if (!messages.ok) dropBad(context, link, 'malformed');
}

function onFeatures(context: EdgeContext, link: PeerLink, bytes: Buffer, body: VendorEnvelope): void {
  const features = decodeFeaturesSupported(bytes, body.bodyStart, body.bodyEnd);
  if (!features.ok) return dropBad(context, link, 'malformed');
  const whatsNew = features.value.find((feature) => feature.name === FeatureName.WHATS_NEW);
  if (whatsNew === undefined || whatsNew.version > 0 === link.answersWhatsNew) return;
  link.answersWhatsNew = whatsNew.version > 0;
  context.reporter.facts(link);
}

function onHopsFlow(context: EdgeContext, link: PeerLink, bytes: Buffer, body: VendorEnvelope): void {
  const hops = decodeHopsFlow(bytes, body.bodyStart, body.bodyEnd);
  if (!hops.ok) return dropBad(context, link, 'malformed');
  const limit = hops.value >= HOPS_FLOW_OPEN ? UNLIMITED_HOPS_FLOW : hops.value;
  if (limit === link.hopsFlow) return;
  link.hopsFlow = limit;
  context.reporter.facts(link);
}

/** The peer is firewalled and asks that PUSHes for its GUID be sent to it (docs/protocol/08 §3.1). */
function onPushProxyRequest(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number): void {
  const guid = guidAt(bytes, start);
  if (judgeServentGuid(guid) !== 'usable') return dropBad(context, link, 'null-guid');
  // Nobody else is this node; PUSHes for it are its own.
  if (Buffer.from(context.facts().serventGuid).equals(guid)) return dropBad(context, link, 'not-for-us');
  // A GUID that contradicts the handshake's is refused without an answer, as gtk-gnutella does.
  if (link.serventGuid.length > 0 && !Buffer.from(link.serventGuid).equals(guid)) return;
  if (link.serventGuid.length === 0) {
    // A copy: the frame lies in a chunk that would else live as long as the link.
    link.serventGuid = Uint8Array.from(guid);
    context.reporter.facts(link);
  }
  const own = context.ownAddress(link);
  const ip = own === undefined ? undefined : ipv4FromText(own.host);
  if (own !== undefined && ip !== undefined) {
    link.send(OutClass.control, encodePushProxyAck(guid, { ip, port: own.port }));
  }
}

/** A GUID that we know from the request alone is forgotten; that of the handshake stays the peer's. */
function onPushProxyCancel(context: EdgeContext, link: PeerLink): void {
  if (link.peer.guid !== undefined || link.serventGuid.length === 0) return;
  link.serventGuid = new Uint8Array(0);
  context.reporter.facts(link);
}
