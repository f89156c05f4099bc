// The UDP crawler's ping and pong, LIME/5 and LIME/6 (docs/protocol/07-vendor-messages.md §5).
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { ipv4FromText, ipv4ToText } from '../address/ipv4.ts';
import type { PeerAddress } from '../address/peer-address.ts';
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, readU32BE, readU32LE, writeU16LE, writeU32BE, writeU32LE } from '../encoding/integers.ts';
import { concatBytes, latin1, latin1Bytes, lenientUtf8, utf8Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

/** Bits of what a crawler wants to know. */
export const CrawlerFeature = {
  CONNECTION_TIME: 0x01,
  LOCALE: 0x02,
  NEWER_ONLY: 0x04,
  USER_AGENTS: 0x08,
  UPTIME: 0x10,
  REPLY_COUNT: 0x20,
  DHT_STATUS: 0x40,
} as const;

/** A count in a ping that asks for all. */
export const CRAWLER_ALL = 255;
/** Output at which the inflation of user agents is given up. */
export const MAX_CRAWLER_AGENTS_BYTES = 64 * 1024;

const KNOWN_FEATURES = 0x7f;
const PING_BYTES = 3;
const ADDRESS_BYTES = 6;
const LENGTH_BYTES = 2;

/** What a crawler asks for. */
export interface CrawlerPing {
  readonly ultrapeers: number;
  readonly leaves: number;
  /** {@link CrawlerFeature} bits; unknown ones are cleared. */
  readonly features: number;
}

/** A neighbour. Fields beyond the address are there where the pong's features say so. */
export interface CrawledPeer {
  readonly address: PeerAddress;
  readonly connectedMinutes?: number;
  readonly locale?: string;
  readonly replies?: number;
}

/** A pong's content. */
export interface CrawlerPong {
  readonly features: number;
  readonly uptimeSeconds?: number;
  readonly ultrapeers: readonly CrawledPeer[];
  readonly leaves: readonly CrawledPeer[];
  readonly dhtStatus?: number;
  /** One for each peer in their order, then the sender's own; undefined when not given or unreadable. */
  readonly userAgents?: readonly string[];
}

/** A crawler ping frame. */
export function encodeCrawlerPing(guid: Uint8Array, ping: CrawlerPing): Uint8Array {
  const body = Uint8Array.of(ping.ultrapeers, ping.leaves, ping.features & KNOWN_FEATURES);
  return encodeVendorMessage(VendorMessage.CRAWLER_PING, body, { guid });
}

/** Reads a crawler ping body. */
export function decodeCrawlerPing(bytes: Uint8Array, start: number, end: number): Decoded<CrawlerPing, 'short'> {
  if (end - start < PING_BYTES) return refused('short');
  return accepted({
    ultrapeers: bytes[start] as number,
    leaves: bytes[start + 1] as number,
    features: (bytes[start + 2] as number) & KNOWN_FEATURES,
  });
}

/**
 * A crawler pong frame; the GUID is the ping's.
 * @param form of the user agents: LimeWire's has a length and gzip, gtk-gnutella's is zlib to the end
 * @throws GnutellaError `bad-address` for a peer that is not IPv4, `bad-payload` for more than 255 of a kind
 */
export function encodeCrawlerPong(
  guid: Uint8Array,
  pong: CrawlerPong,
  form: 'limewire' | 'gtk-gnutella' = 'limewire',
): Uint8Array {
  if (pong.ultrapeers.length > 255 || pong.leaves.length > 255) {
    throw new GnutellaError('bad-payload', 'a crawler pong counts up to 255');
  }
  const { features } = pong;
  const has = (bit: number): boolean => (features & bit) !== 0;
  const pieces: Uint8Array[] = [Uint8Array.of(pong.ultrapeers.length, pong.leaves.length, features)];
  if (has(CrawlerFeature.UPTIME)) pieces.push(u32(pong.uptimeSeconds ?? 0));
  for (const peer of [...pong.ultrapeers, ...pong.leaves]) pieces.push(...encodePeer(peer, features));
  if (has(CrawlerFeature.DHT_STATUS)) pieces.push(Uint8Array.of(pong.dhtStatus ?? 0));
  if (has(CrawlerFeature.USER_AGENTS)) pieces.push(...encodeAgents(pong.userAgents ?? [], form));
  return encodeVendorMessage(VendorMessage.CRAWLER_PONG, concatBytes(pieces), { guid });
}

/** Reads a crawler pong body of either form. */
export function decodeCrawlerPong(
  bytes: Uint8Array,
  start: number,
  end: number,
): Decoded<CrawlerPong, 'short' | 'bad-count'> {
  if (end - start < PING_BYTES) return refused('short');
  const ultrapeerCount = bytes[start] as number;
  const peerCount = ultrapeerCount + (bytes[start + 1] as number);
  const features = bytes[start + 2] as number;
  const has = (bit: number): boolean => (features & bit) !== 0;
  let at = start + PING_BYTES;
  let uptime: { uptimeSeconds: number } | undefined;
  if (has(CrawlerFeature.UPTIME)) {
    if (at + 4 > end) return refused('short');
    uptime = { uptimeSeconds: readU32LE(bytes, at) };
    at += 4;
  }
  const size = peerBytes(features);
  const dhtBytes = has(CrawlerFeature.DHT_STATUS) ? 1 : 0;
  if (at + peerCount * size + dhtBytes > end) return refused('bad-count');
  const peers: CrawledPeer[] = [];
  for (; peers.length < peerCount; at += size) peers.push(decodePeer(bytes, at, features));
  const dht = dhtBytes === 1 ? { dhtStatus: bytes[at] as number } : undefined;
  at += dhtBytes;
  const userAgents = has(CrawlerFeature.USER_AGENTS) ? decodeAgents(bytes, at, end) : undefined;
  return accepted({
    features,
    ...uptime,
    ultrapeers: peers.slice(0, ultrapeerCount),
    leaves: peers.slice(ultrapeerCount),
    ...dht,
    ...(userAgents === undefined ? undefined : { userAgents }),
  });
}

function peerBytes(features: number): number {
  return (
    ADDRESS_BYTES +
    ((features & CrawlerFeature.CONNECTION_TIME) === 0 ? 0 : 2) +
    ((features & CrawlerFeature.LOCALE) === 0 ? 0 : 2) +
    ((features & CrawlerFeature.REPLY_COUNT) === 0 ? 0 : 4)
  );
}

function encodePeer(peer: CrawledPeer, features: number): Uint8Array[] {
  const ip = ipv4FromText(peer.address.host);
  if (ip === undefined) throw new GnutellaError('bad-address', 'a crawler pong lists IPv4 peers only');
  const address = new Uint8Array(ADDRESS_BYTES);
  writeU32BE(address, 0, ip);
  writeU16LE(address, 4, peer.address.port);
  const pieces: Uint8Array[] = [address];
  if ((features & CrawlerFeature.CONNECTION_TIME) !== 0) pieces.push(u16(peer.connectedMinutes ?? 0));
  if ((features & CrawlerFeature.LOCALE) !== 0) pieces.push(latin1Bytes((peer.locale ?? 'en').padEnd(2).slice(0, 2)));
  if ((features & CrawlerFeature.REPLY_COUNT) !== 0) pieces.push(u32(peer.replies ?? 0));
  return pieces;
}

function decodePeer(bytes: Uint8Array, start: number, features: number): CrawledPeer {
  const address = { host: ipv4ToText(readU32BE(bytes, start)), port: readU16LE(bytes, start + 4) };
  const peer: { -readonly [K in keyof CrawledPeer]: CrawledPeer[K] } = { address };
  let at = start + ADDRESS_BYTES;
  if ((features & CrawlerFeature.CONNECTION_TIME) !== 0) {
    peer.connectedMinutes = readU16LE(bytes, at);
    at += 2;
  }
  if ((features & CrawlerFeature.LOCALE) !== 0) {
    peer.locale = latin1(bytes, at, at + 2);
    at += 2;
  }
  if ((features & CrawlerFeature.REPLY_COUNT) !== 0) peer.replies = readU32LE(bytes, at);
  return peer;
}

/** `;` between agents; a backslash escapes it and itself. */
function encodeAgents(agents: readonly string[], form: 'limewire' | 'gtk-gnutella'): Uint8Array[] {
  const text = utf8Bytes(agents.map((agent) => agent.replaceAll(/[\\;]/g, String.raw`\$&`)).join(';'));
  if (form === 'gtk-gnutella') return [deflateSync(text)];
  const stream = gzipSync(concatBytes([u16(text.length), text]));
  return [u16(stream.length), stream];
}

function decodeAgents(bytes: Uint8Array, start: number, end: number): string[] | undefined {
  const limit = { maxOutputLength: MAX_CRAWLER_AGENTS_BYTES };
  try {
    const gzipAt = start + LENGTH_BYTES;
    if (gzipAt + 2 <= end && bytes[gzipAt] === 0x1f && bytes[gzipAt + 1] === 0x8b) {
      const stop = Math.min(gzipAt + readU16LE(bytes, start), end);
      const plain = gunzipSync(bytes.subarray(gzipAt, stop), limit);
      return splitAgents(lenientUtf8(plain, LENGTH_BYTES, plain.length));
    }
    const plain = inflateSync(bytes.subarray(start, end), limit);
    return splitAgents(lenientUtf8(plain, 0, plain.length));
  } catch {
    return undefined;
  }
}

function splitAgents(text: string): string[] {
  const agents: string[] = [''];
  for (let i = 0; i < text.length; i += 1) {
    let character = text[i] ?? '';
    if (character === ';') {
      agents.push('');
      continue;
    }
    if (character === '\\') {
      i += 1;
      character = text[i] ?? '';
    }
    agents[agents.length - 1] += character;
  }
  return agents;
}

function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  writeU16LE(bytes, 0, value);
  return bytes;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32LE(bytes, 0, value);
  return bytes;
}
