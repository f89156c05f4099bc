import {
  decodeBye,
  Descriptor,
  FUNCTION_OFFSET,
  HEADER_BYTES,
  HOPS_OFFSET,
  isNullMessageGuid,
  TTL_OFFSET,
} from '@filbert/gnutella';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';
import { handlePing } from './ping.ts';
import { handlePong } from './pong.ts';
import { handlePush } from './push.ts';
import { handleQrp } from './qrp.ts';
import { handleQuery } from './query.ts';
import { handleVendor } from './vendor.ts';

/** A message that crossed so many links cannot be counted further. */
const MAX_HOPS = 255;
/** More bad messages than this, and more than this share of all, end a link (docs/protocol/12 §5). */
const MAX_BAD = 100;
const MAX_BAD_SHARE = 0.01;

/** What the edge does with a frame of a link: rules about the link itself, then the handler of its function. */
export function dispatchFrame(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const descriptor = bytes[start + FUNCTION_OFFSET] as number;
  const hops = bytes[start + HOPS_OFFSET] as number;
  if (hops > 0 && !link.isUltrapeer) {
    link.bye(414, `Leaf node relayed ${describe(descriptor)}`);
    return;
  }
  if (hops === MAX_HOPS) dropBad(context, link, 'hops-exceeded');
  else handle(context, link, descriptor, bytes, start, end);
  const { bad, messagesIn } = link.counters;
  if (bad > MAX_BAD && bad > messagesIn * MAX_BAD_SHARE) link.bye(409, 'Too many bad messages');
}

function handle(
  context: EdgeContext,
  link: PeerLink,
  descriptor: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  switch (descriptor) {
    case Descriptor.QUERY:
      return handleQuery(context, link, bytes, start, end);
    case Descriptor.QUERY_HIT:
      if (isNullMessageGuid(bytes, start)) return dropBad(context, link, 'null-guid');
      context.ingress.add(bytes, start, end, link.number);
      return;
    case Descriptor.PUSH:
      return handlePush(context, link, bytes, start, end);
    case Descriptor.PING:
      return handlePing(context, link, bytes, start, end);
    case Descriptor.PONG:
      return handlePong(context, link, bytes, start, end);
    case Descriptor.QRP:
      return handleQrp(context, link, bytes, start, end);
    case Descriptor.VENDOR:
    case Descriptor.STANDARD_VENDOR:
      return handleVendor(context, link, bytes, start, end);
    case Descriptor.BYE:
      return handleBye(context, link, bytes, start, end);
    case Descriptor.HSEP:
      // Purely informational, and we did not announce it: neither used nor held against the peer.
      return;
    default:
      return dropBad(context, link, 'unknown-function');
  }
}

/** The link closes at once, without an answer (docs/protocol/02 §7). */
function handleBye(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const hops = bytes[start + HOPS_OFFSET] as number;
  const ttl = bytes[start + TTL_OFFSET] as number;
  const bye = decodeBye(bytes, start + HEADER_BYTES, end, hops, ttl);
  if (bye.ok) link.destroy(`the peer said BYE ${bye.value.code}`);
  else dropBad(context, link, bye.reason === 'bad-hops-or-ttl' ? 'not-for-us' : 'malformed');
}

function describe(descriptor: number): string {
  const known = Object.entries(Descriptor).find(([, code]) => code === descriptor);
  return known === undefined ? `function 0x${descriptor.toString(16)}` : known[0].replace('_', ' ');
}
