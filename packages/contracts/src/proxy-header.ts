// The PROXY protocol, version 2: what an edge puts in front of a connection that it hands to a worker of another process.
import {
  canonicalHost,
  formatPeerAddress,
  hostFromIpv6Bytes,
  ipv4FromText,
  ipv4ToText,
  ipv6FromText,
} from '@filbert/gnutella';
import type { PeerAddress } from '@filbert/gnutella';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const FIXED_BYTES = 16;
const VERSION_2 = 0x20;
const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
const IPV4_BLOCK_BYTES = 12;
const IPV6_BLOCK_BYTES = 36;

/** Longest address block with its extensions that is taken, in bytes. */
export const MAX_PROXY_BLOCK_BYTES = 512;

/** Who really connected, and to where. */
export interface ProxiedConnection {
  readonly source: PeerAddress;
  readonly destination: PeerAddress;
}

/**
 * What the first bytes of a connection say. `need-more`: they are the beginning of a header. `local`: the sender speaks
 * for itself (a health check). `headerBytes` is what stands before the connection's own bytes.
 */
export type ProxyHeader =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'proxied'; readonly connection: ProxiedConnection; readonly headerBytes: number }
  | { readonly kind: 'local'; readonly headerBytes: number }
  | {
      readonly kind: 'refused';
      readonly reason: 'no-header' | 'bad-version' | 'bad-family' | 'too-long' | 'too-short';
    };

/**
 * Writes the header for a TCP connection; both addresses are written as IPv6 where one is.
 * @throws Error where an address is not numeric
 */
export function encodeProxyHeader({ source, destination }: ProxiedConnection): Uint8Array {
  const v4 = [ipv4FromText(source.host), ipv4FromText(destination.host)] as const;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  if (v4[0] !== undefined && v4[1] !== undefined) {
    const hosts = Buffer.alloc(8);
    hosts.writeUInt32BE(v4[0], 0);
    hosts.writeUInt32BE(v4[1], 4);
    return headerOf(TCP_OVER_IPV4, [hosts, ports]);
  }
  return headerOf(TCP_OVER_IPV6, [ipv6Of(source), ipv6Of(destination), ports]);
}

/** Reads the header at the beginning of `bytes`; total, and never asks for more than a header may hold. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader {
  const signed = Math.min(bytes.length, SIGNATURE.length);
  for (let i = 0; i < signed; i++) if (bytes[i] !== SIGNATURE[i]) return { kind: 'refused', reason: 'no-header' };
  if (bytes.length < FIXED_BYTES) return { kind: 'need-more' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const command = view.getUint8(12);
  if ((command & 0xf0) !== VERSION_2 || command > COMMAND_PROXY) return { kind: 'refused', reason: 'bad-version' };
  const family = view.getUint8(13);
  const blockBytes = view.getUint16(14);
  if (blockBytes > MAX_PROXY_BLOCK_BYTES) return { kind: 'refused', reason: 'too-long' };
  const headerBytes = FIXED_BYTES + blockBytes;
  if (bytes.length < headerBytes) return { kind: 'need-more' };
  if (command === COMMAND_LOCAL) return { kind: 'local', headerBytes };
  const at = FIXED_BYTES;
  if (family === TCP_OVER_IPV4) {
    if (blockBytes < IPV4_BLOCK_BYTES) return { kind: 'refused', reason: 'too-short' };
    const source = { host: ipv4ToText(view.getUint32(at)), port: view.getUint16(at + 8) };
    const destination = { host: ipv4ToText(view.getUint32(at + 4)), port: view.getUint16(at + 10) };
    return { kind: 'proxied', connection: { source, destination }, headerBytes };
  }
  if (family === TCP_OVER_IPV6) {
    if (blockBytes < IPV6_BLOCK_BYTES) return { kind: 'refused', reason: 'too-short' };
    const source = { host: hostFromIpv6Bytes(bytes.subarray(at, at + 16)), port: view.getUint16(at + 32) };
    const destination = { host: hostFromIpv6Bytes(bytes.subarray(at + 16, at + 32)), port: view.getUint16(at + 34) };
    return { kind: 'proxied', connection: { source, destination }, headerBytes };
  }
  return { kind: 'refused', reason: 'bad-family' };
}

function headerOf(family: number, blocks: readonly Uint8Array[]): Uint8Array {
  const fixed = Buffer.alloc(4);
  fixed[0] = COMMAND_PROXY;
  fixed[1] = family;
  fixed.writeUInt16BE(
    blocks.reduce((sum, block) => sum + block.length, 0),
    2,
  );
  return Buffer.concat([SIGNATURE, fixed, ...blocks]);
}

function ipv6Of(address: PeerAddress): Uint8Array {
  const host = canonicalHost(address.host);
  const bytes = host === undefined ? undefined : ipv6FromText(host.includes(':') ? host : `::ffff:${host}`);
  if (bytes === undefined) throw new Error(`${formatPeerAddress(address)} is not a numeric address`);
  return bytes;
}
