import { randomBytes, randomInt } from 'node:crypto';

/**
 * Gnutella bytes as the raw protocol peers of the end-to-end suite write them: a few lines of their own, so that a
 * mistake in packages/gnutella is not made twice and thereby hidden. GUIDs are 32 lower-case hex digits throughout.
 */

/** Length of the descriptor header in bytes (protocol page 02 §1). */
export const RAW_HEADER_BYTES = 23;

/** The descriptors that the raw peers know (protocol page 02 §2). */
export const RAW_DESCRIPTOR = {
  ping: 0x00,
  pong: 0x01,
  bye: 0x02,
  qrp: 0x30,
  vendor: 0x31,
  push: 0x40,
  query: 0x80,
  hit: 0x81,
} as const;

/** One Gnutella message: what was received, or what was sent. */
export interface RawFrame {
  /** 32 lower-case hex digits. */
  readonly guid: string;
  readonly descriptor: number;
  readonly ttl: number;
  readonly hops: number;
  readonly payload: Buffer;
}

/** A new random GUID. Byte 8 is 0xFF and byte 15 is 0, the marking of a modern servent (protocol page 02 §1). */
export function randomGuid(): string {
  const bytes = randomBytes(16);
  bytes[8] = 0xff;
  bytes[15] = 0;
  return bytes.toString('hex');
}

/**
 * A new GUID whose bytes 9 to 12 are those of `guid`, so that both meet in one router shard: what a test sends with it
 * afterwards is handled after what it sent with `guid`.
 */
export function guidBehind(guid: string): string {
  return randomGuid().slice(0, 18) + guid.slice(18, 26) + randomGuid().slice(26);
}

/** Four random words of two letters: they make a text new, and are too short to be looked up (protocol page 05 §1.1). */
export function shortTokens(): string {
  return Array.from({ length: 4 }, () => String.fromCharCode(97 + randomInt(26), 97 + randomInt(26))).join(' ');
}

/** The bytes of one message: 23 bytes of header and the payload (protocol page 02 §1). */
export function encodeFrame(frame: RawFrame): Buffer {
  const bytes = Buffer.alloc(RAW_HEADER_BYTES + frame.payload.length);
  bytes.write(frame.guid, 0, 16, 'hex');
  bytes[16] = frame.descriptor;
  bytes[17] = frame.ttl;
  bytes[18] = frame.hops;
  bytes.writeUInt32LE(frame.payload.length, 19);
  frame.payload.copy(bytes, RAW_HEADER_BYTES);
  return bytes;
}

/** Four address bytes in network order, of a dotted IPv4 address. */
export function ipv4Bytes(ip: string): Buffer {
  return Buffer.from(ip.split('.').map(Number));
}

/** What a QUERY asks (protocol page 02 §9). */
export interface RawQuery {
  /** The flags word, written big-endian. Default 0x8800: flags present, GGEP "H" understood. */
  flags?: number;
  text?: string;
  /** HUGE strings, such as `urn:sha1:…`. */
  urns?: readonly string[];
  /** Raw bytes of the extension area, put after the URNs. */
  extension?: Uint8Array;
}

/** The payload of a QUERY: flags, text, NUL, URNs and extension bytes separated by 0x1C (protocol page 02 §9). */
export function queryPayload(query: RawQuery): Buffer {
  const flags = Buffer.alloc(2);
  flags.writeUInt16BE(query.flags ?? 0x8800);
  const extensions: Buffer[] = (query.urns ?? []).map((urn) => Buffer.from(urn, 'latin1'));
  if (query.extension !== undefined) extensions.push(Buffer.from(query.extension));
  const area = extensions.flatMap((part, at) => (at === 0 ? [part] : [Buffer.of(0x1c), part]));
  return Buffer.concat([flags, Buffer.from(query.text ?? '', 'utf8'), Buffer.of(0), ...area]);
}

/** The text of a received QUERY. */
export function queryText(payload: Buffer): string {
  const end = payload.indexOf(0, 2);
  return payload.toString('utf8', 2, end < 0 ? payload.length : end);
}

/** One result of a QUERY HIT. */
export interface RawRecord {
  index: number;
  /** File size in bytes, below 2^32. */
  size: number;
  name: string;
  urn?: string;
}

/** What a QUERY HIT says (protocol page 02 §10). */
export interface RawHit {
  serventGuid: string;
  records: readonly RawRecord[];
  ip?: string;
  port?: number;
  /** kbit/s. */
  speed?: number;
  /** The two flag bytes of the trailer; default: nothing known. */
  flags?: readonly [number, number];
  /** Bytes of the private area, such as a GGEP block. */
  privateArea?: Uint8Array;
}

/** The payload of a QUERY HIT with a trailer of vendor code RAWP (protocol page 02 §10). */
export function hitPayload(hit: RawHit): Buffer {
  const head = Buffer.alloc(11);
  head[0] = hit.records.length;
  head.writeUInt16LE(hit.port ?? 6346, 1);
  ipv4Bytes(hit.ip ?? '127.0.0.1').copy(head, 3);
  head.writeUInt32LE(hit.speed ?? 1000, 7);
  const records = hit.records.map((record) => {
    const numbers = Buffer.alloc(8);
    numbers.writeUInt32LE(record.index, 0);
    numbers.writeUInt32LE(record.size, 4);
    const texts = Buffer.from(`${record.name}\0${record.urn ?? ''}\0`, 'utf8');
    return Buffer.concat([numbers, texts]);
  });
  const [flagsA, flagsB] = hit.flags ?? [0, 0];
  const trailer = Buffer.from([0x52, 0x41, 0x57, 0x50, 2, flagsA, flagsB, ...(hit.privateArea ?? [])]);
  return Buffer.concat([head, ...records, trailer, Buffer.from(hit.serventGuid, 'hex')]);
}

/** What a PUSH asks (protocol page 02 §8). */
export interface RawPush {
  /** Whom it is for: the last 16 bytes of that servent's hit. */
  serventGuid: string;
  index?: number;
  ip?: string;
  port?: number;
  /** A GGEP tail. */
  extension?: Uint8Array;
}

/** The payload of a PUSH (protocol page 02 §8). */
export function pushPayload(push: RawPush): Buffer {
  const payload = Buffer.alloc(26);
  payload.write(push.serventGuid, 0, 16, 'hex');
  payload.writeUInt32LE(push.index ?? 0, 16);
  ipv4Bytes(push.ip ?? '127.0.0.1').copy(payload, 20);
  payload.writeUInt16LE(push.port ?? 6346, 24);
  return Buffer.concat([payload, push.extension ?? Buffer.alloc(0)]);
}

/** The payload of a PONG (protocol page 02 §6). */
export function pongPayload(port: number, ip: string, files: number, kib: number): Buffer {
  const payload = Buffer.alloc(14);
  payload.writeUInt16LE(port, 0);
  ipv4Bytes(ip).copy(payload, 2);
  payload.writeUInt32LE(files, 6);
  payload.writeUInt32LE(kib, 10);
  return payload;
}

/** The payload of a BYE (protocol page 02 §7). */
export function byePayload(code: number, text: string): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(text) + 1);
  payload.writeUInt16LE(code, 0);
  payload.write(text, 2);
  return payload;
}

/** The payload of a vendor message: the 8-byte selector and a body (protocol page 07 §1). An empty vendor is null. */
export function vendorPayload(vendor: string, id: number, version: number, body: Uint8Array): Buffer {
  const selector = Buffer.alloc(8);
  selector.write(vendor, 0, 4, 'latin1');
  selector.writeUInt16LE(id, 4);
  selector.writeUInt16LE(version, 6);
  return Buffer.concat([selector, body]);
}

/** One vendor message that a peer says it takes. */
export interface RawVendorId {
  vendor: string;
  id: number;
  version: number;
}

/** The body of MessagesSupported, null/0 v0 (protocol page 07 §2). */
export function messagesSupportedBody(list: readonly RawVendorId[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16LE(list.length);
  return Buffer.concat([
    count,
    ...list.map(({ vendor, id, version }) => vendorPayload(vendor, id, version, Buffer.alloc(0))),
  ]);
}
