import {
  GgepId,
  HEADER_BYTES,
  hostFromIpv6Bytes,
  ipv4At,
  isUsableIpv4,
  isUsablePeerAddress,
  NO_IPV4,
  parseGgepTail,
  PUSH_BYTES,
} from '@filbert/gnutella';
import type { FrameDropReason } from '../counters.ts';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

const IP_OFFSET = 20;
const PORT_OFFSET = 24;
const IPV6_BYTES = 16;

/** Checks the address that the target would connect to, so that nobody is made to attack a stranger's port. */
export function handlePush(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const payload = start + HEADER_BYTES;
  if (end - payload < PUSH_BYTES) return dropBad(context, link, 'malformed');
  const ip = ipv4At(bytes, payload + IP_OFFSET);
  const port = bytes.readUInt16LE(payload + PORT_OFFSET);
  const extensions = payload + PUSH_BYTES;
  if (end > extensions) {
    const problem = judgeExtensions(context, bytes, extensions, end, ip, port);
    if (problem !== undefined) return dropBad(context, link, problem);
  } else if (!isUsableIpv4(ip, port, context)) {
    return dropBad(context, link, 'unusable-address');
  }
  context.ingress.add(bytes, start, end, link.number);
}

/**
 * What is wrong with the addresses of a PUSH that has more than the fixed part, which must be GGEP. IPv4 127.0.0.0 stands
 * for "IPv6 only": then there must be an IPv6 address. No address may be unusable, for the target may take any of them.
 */
function judgeExtensions(
  context: EdgeContext,
  bytes: Buffer,
  start: number,
  end: number,
  ip: number,
  port: number,
): FrameDropReason | undefined {
  const extensions = parseGgepTail(bytes, start, end);
  if (!extensions.ok) return 'malformed';
  let hasAddress = isUsableIpv4(ip, port, context);
  if (!hasAddress && ip !== NO_IPV4) return 'unusable-address';
  for (const extension of extensions.value) {
    if (extension.id !== GgepId.IPV6) continue;
    // Nobody deflates 16 bytes; a frame of many that fail to inflate would cost milliseconds.
    if (extension.deflated) return 'malformed';
    // Of another length, it is no address.
    if (extension.data.length !== IPV6_BYTES) continue;
    if (!isUsablePeerAddress({ host: hostFromIpv6Bytes(extension.data), port }, context)) return 'unusable-address';
    hasAddress = true;
  }
  return hasAddress ? undefined : 'unusable-address';
}
