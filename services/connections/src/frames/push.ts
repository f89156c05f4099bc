import { HEADER_BYTES, ipv4At, isUsableIpv4, NO_IPV4 } from '@filbert/gnutella';
import type { PeerLink } from '../link/peer-link.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** Fixed part of a PUSH (docs/protocol/02 §8). */
const PUSH_BYTES = 26;
const IP_OFFSET = 20;
const PORT_OFFSET = 24;

/** Checks the address that the target would connect to, so that nobody is made to attack a stranger's port. */
export function handlePush(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const payload = start + HEADER_BYTES;
  if (end - payload < PUSH_BYTES) return dropBad(context, link, 'malformed');
  const ip = ipv4At(bytes, payload + IP_OFFSET);
  const port = bytes.readUInt16LE(payload + PORT_OFFSET);
  // 127.0.0.0 stands for "IPv6 only"; the real address is then in the GGEP block behind.
  const ipv6Only = ip === NO_IPV4 && end - payload > PUSH_BYTES && port !== 0;
  if (!ipv6Only && !isUsableIpv4(ip, port, context)) return dropBad(context, link, 'unusable-address');
  context.ingress.add(bytes, start, end, link.number);
}
