import { randomBytes } from 'node:crypto';
import { formatBlock, roleHeaders } from '../../test/support/raw-handshake.ts';
import { patchPayloads, resetPayload } from '../../test/support/raw-table.ts';
import { encodeFrame, queryPayload, randomGuid, RAW_DESCRIPTOR } from '../../test/support/raw-wire.ts';

/** One bad visitor: what it says first and, where that is a good handshake, what it says once it is let in. */
export interface BadInput {
  readonly name: string;
  readonly first: () => Buffer;
  /** Written behind the third block when the node answered. */
  readonly then?: () => Buffer;
}

const hello = (): Buffer =>
  Buffer.from(formatBlock('GNUTELLA CONNECT/0.6', roleHeaders('leaf', randomGuid(), '127.0.0.1', false)), 'latin1');

const text = (content: string) => (): Buffer => Buffer.from(content, 'latin1');

const frame = (descriptor: number, payload: Buffer, ttl = 1, hops = 0): Buffer =>
  encodeFrame({ guid: randomGuid(), descriptor, ttl, hops, payload });

const qrp = (...payloads: Buffer[]): Buffer =>
  Buffer.concat(payloads.map((payload) => frame(RAW_DESCRIPTOR.qrp, payload)));

function withLength(bytes: Buffer, length: number): Buffer {
  bytes.writeUInt32LE(length, 19);
  return bytes;
}

function garbledPatch(): Buffer {
  const [patch = Buffer.alloc(0)] = patchPayloads(16, [1, 2, 3], []);
  return Buffer.concat([patch.subarray(0, 7), randomBytes(64)]);
}

/** Random bytes are a query now and then, by chance; without a NUL they never are. */
function bytesWithoutNul(length: number): Buffer {
  return Buffer.from(Array.from(randomBytes(length), (byte) => byte || 1));
}

/** Bad input at each place: first line, headers, frames, queries, tables (protocol pages 01, 02 and 05). */
export const BAD_INPUTS: readonly BadInput[] = [
  { name: 'random first bytes', first: () => randomBytes(512) },
  { name: 'unknown first line', first: text('NONSENSE / 1.0\r\n\r\n') },
  { name: 'version 0.4', first: text('GNUTELLA CONNECT/0.4\n\n') },
  { name: 'line too long', first: text(`GNUTELLA CONNECT/0.6\r\nX: ${'a'.repeat(4000)}\r\n\r\n`) },
  { name: 'too many headers', first: text(`GNUTELLA CONNECT/0.6\r\n${'X: y\r\n'.repeat(500)}\r\n`) },
  { name: 'zero bytes in headers', first: text('GNUTELLA CONNECT/0.6\r\nX-Ultrapeer: \0\0\r\n\0\0\0\r\n\r\n') },
  { name: 'random frames', first: hello, then: () => randomBytes(2048) },
  { name: 'endless length', first: hello, then: () => withLength(frame(0x80, Buffer.alloc(8)), 0xffffffff) },
  { name: 'query too large', first: hello, then: () => frame(0x80, queryPayload({ text: 'a'.repeat(2000) })) },
  {
    name: 'malformed queries',
    first: hello,
    then: () => Buffer.concat(Array.from({ length: 50 }, () => frame(0x80, bytesWithoutNul(40)))),
  },
  {
    name: 'relaying leaf',
    first: hello,
    then: () => frame(0x80, queryPayload({ text: '31415926535 27182818284' }), 3, 2),
  },
  { name: 'malformed hits', first: hello, then: () => frame(0x81, Buffer.alloc(40, 0xff)) },
  { name: 'table of odd length', first: hello, then: () => qrp(resetPayload(1000, 2)) },
  { name: 'patch before reset', first: hello, then: () => qrp(...patchPayloads(16, [1], [])) },
  { name: 'garbled patch', first: hello, then: () => qrp(resetPayload(65_536, 2), garbledPatch()) },
  {
    name: 'patch too large',
    first: hello,
    then: () => qrp(resetPayload(1024, 2), ...patchPayloads(16, [1], [], { slices: 2 })),
  },
];
