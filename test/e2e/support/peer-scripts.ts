import { deflateSync } from 'node:zlib';
import { rawHash, rawPrefixes } from '../../support/raw-table.ts';
import type { PeerScript } from './scripted-peer.ts';

/**
 * Scripts of our own making of what programs of other vendors send first, after docs/protocol/13-peers.md: header blocks
 * line by line, messages byte by byte. Each takes the words of a file that it shares, and a GUID to show.
 */
export interface ScriptContent {
  /** 32 hex digits. */
  readonly guid: string;
  /** Lower-case ASCII words. */
  readonly words: readonly string[];
  /** Where it says that it listens. Nobody does. */
  readonly port: number;
}

/** A message written as hex digits, spaces ignored. */
export function bytes(...hex: readonly string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(' ', ''), 'hex');
}

const ZERO = '00000000000000000000000000000000';

/** MessagesSupported of gtk-gnutella 1.2.3: 27 entries. */
const GTKG_MESSAGES = bytes(
  `${ZERO} 31 01 00 e2000000`,
  '00000000 0000 0000 1b00',
  '42454152 0400 0100 42454152 0700 0100 42454152 0b00 0100 42454152 0c00 0100',
  '47544b47 0700 0100 47544b47 0700 0200 47544b47 0900 0100 47544b47 0a00 0100',
  '47544b47 1500 0100 47544b47 1600 0100 47544b47 1700 0100 47544b47 1800 0100',
  '4c494d45 0500 0100 4c494d45 0b00 0200 4c494d45 0b00 0300 4c494d45 0c00 0100 4c494d45 0c00 0200',
  '4c494d45 0c00 0300 4c494d45 0d00 0100 4c494d45 1500 0100 4c494d45 1500 0200 4c494d45 1600 0100',
  '4c494d45 1600 0200 4c494d45 1700 0100 4c494d45 1700 0200 4c494d45 1800 0100 4c494d45 1800 0200',
);

/** FeaturesSupported of gtk-gnutella 1.2.3: HSEP, WHAT, QRP1, F2FT (not possible), TCPI, TLS!. */
const GTKG_FEATURES = bytes(
  `${ZERO} 31 01 00 2e000000`,
  '00000000 0a00 0000 0600',
  '48534550 0100 57484154 0100 51525031 0100 46324654 ffff 54435049 0100 544c5321 0100',
);

const GTKG_COMMON = [
  'Remote-IP: 127.0.0.1',
  'User-Agent: gtk-gnutella/1.2.3 (2024-03-03; Topless; Linux x86_64)',
  'Pong-Caching: 0.1',
  'Bye-Packet: 0.1',
  'GGEP: 0.5',
] as const;

const GTKG_MIDDLE = [
  'Vendor-Message: 0.2',
  'X-Query-Routing: 0.2',
  'X-Requeries: False',
  'Upgrade: TLS/1.0',
  'Accept-Encoding: deflate',
  'X-Token: TWFkZSB1cCBmb3IgYSB0ZXN0; A1B2C3',
  'X-Live-Since: Sat, 03 Mar 2024 10:00:00 +0000',
] as const;

/** gtk-gnutella 1.2.3 that dials us, as a leaf or an ultrapeer. */
export function gtkGnutella(role: PeerScript['role'], { guid, words, port }: ScriptContent): PeerScript {
  const leaf = role === 'leaf';
  const hello = [
    `Node: 127.0.0.1:${port}`,
    ...GTKG_COMMON,
    `GUID: ${guid}`,
    ...GTKG_MIDDLE,
    `X-Ultrapeer: ${leaf ? 'False' : 'True'}`,
    'X-Dynamic-Querying: 0.1',
    'X-Ultrapeer-Query-Routing: 0.1',
    `X-Degree: ${leaf ? 32 : 71}`,
    'X-Max-TTL: 4',
    ...(leaf ? [] : ['X-Ext-Probes: 0.1']),
    'X-Guess: 0.2',
    'X-Features: tls/1.0, sflag/0.1, HSEP/0.2',
  ];
  const reset = bytes(`${ZERO} 30 01 00 06000000`, '00 00400000 02');
  const ping = bytes('5b1c0f86e2a94d17ff4c2e01b7d8a603 00 04 00 07000000', `c3 83 534350 41 ${leaf ? '02' : '03'}`);
  const table = [reset, patch(14, slots(words.flatMap(rawPrefixes), 14), 0xf)];
  return { name: `gtk-gnutella as ${role}`, role, hello, first: [...table, ping, GTKG_MESSAGES, GTKG_FEATURES] };
}

/** gtk-gnutella 1.2.3 that we dial: the second block, without the TLS upgrade that we did not offer. */
export function gtkGnutellaDialled(content: ScriptContent): PeerScript {
  const script = gtkGnutella('ultrapeer', content);
  const hello = script.hello.filter((line) => !/^(Upgrade|Node):/.test(line));
  return { ...script, name: 'gtk-gnutella, dialled', hello: [...hello, 'X-Ultrapeer-Needed: True'] };
}

/** A query of a gtk-gnutella leaf: flags bd 00, GGEP SO and PR, a GUID that begins with its address. */
export function gtkGnutellaQuery(text: string): { guid: string; message: Buffer } {
  const guid = '7f0000016f1d4c92a3b80e57c16a4900';
  const words = Buffer.from(`${text}\0`).toString('hex');
  const extension = 'c3 02 534f 40 82 5052 40';
  const length = 2 + text.length + 1 + 9;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(length);
  return { guid, message: bytes(`${guid} 80 04 00 ${size.toString('hex')}`, 'bd00', words, extension) };
}

/** LimeWire 5 and WireShare, as a leaf or an ultrapeer: never BYE, a table of 2^16 slots with infinity 7 and steps of 6. */
export function limeWire(
  role: PeerScript['role'],
  userAgent: 'LimeWire/5.6.2' | 'WireShare/6.0.2',
  { guid, words, port }: ScriptContent,
): PeerScript {
  const hello = [
    `X-Ultrapeer: ${role === 'leaf' ? 'False' : 'True'}`,
    `User-Agent: ${userAgent}`,
    'X-Requeries: False',
    'X-Degree: 32',
    'X-Query-Routing: 0.1',
    'X-Ultrapeer-Query-Routing: 0.1',
    'X-Max-TTL: 3',
    'X-Dynamic-Querying: 0.1',
    'X-Locale-Pref: en',
    'X-Ext-Probes: 0.1',
    'Accept-Encoding: deflate',
    'GGEP: 0.5',
    `Listen-IP: 127.0.0.1:${port}`,
    'Pong-Caching: 0.1',
    'X-Guess: 0.1',
    'Vendor-Message: 0.2',
    'Remote-IP: 127.0.0.1',
  ];
  const capabilities = bytes(
    `${ZERO} 31 01 00 1c000000`,
    '00000000 0a00 0000 0300',
    '49555054 0100 46574648 0100 54435049 0100',
  );
  const messages = bytes(
    `${ZERO} 31 01 00 32000000`,
    '00000000 0000 0000 0500',
    '42454152 0400 0100 42454152 0b00 0100 42454152 0c00 0100 4c494d45 1500 0200 4c494d45 1600 0200',
  );
  const reset = bytes(`${guid} 30 01 00 06000000`, '00 00000100 07');
  // The word, and the word less its last one and two letters.
  const strings = words.flatMap((word) => [word, ...(word.length >= 5 ? [word.slice(0, -1), word.slice(0, -2)] : [])]);
  const table = [reset, patch(16, slots(strings, 16), 0xa)];
  return { name: `${userAgent} as ${role}`, role, hello, first: [capabilities, messages, ...table] };
}

/** gnutella-bun-client 1.2 as an ultrapeer. It sends `bunClientTable` again every 30 s. */
export function bunClient(content: ScriptContent): PeerScript {
  const hello = [
    'User-Agent: gnutella-bun-client/1.2.0',
    `Listen-IP: 127.0.0.1:${content.port}`,
    'X-Max-TTL: 4',
    'X-Ultrapeer: True',
    'X-Ultrapeer-Needed: True',
    'X-Ultrapeer-Query-Routing: 0.1',
    'X-Dynamic-Querying: 0.1',
    'X-Ext-Probes: 0.1',
    'X-Degree: 32',
    'X-Query-Routing: 0.2',
    'Accept-Encoding: deflate',
    'Pong-Caching: 0.1',
    'GGEP: 0.5',
    'Bye-Packet: 0.1',
    'Upgrade: TLS/1.0',
    'Remote-IP: 127.0.0.1',
  ];
  const ping = bytes(`${content.guid} 00 01 00 00000000`);
  return { name: 'gnutella-bun-client', role: 'ultrapeer', hello, first: [ping, ...bunClientTable(content)] };
}

/** RESET and the whole patch of gnutella-bun-client. */
export function bunClientTable({ words }: Pick<ScriptContent, 'words'>): [reset: Buffer, patch: Buffer] {
  return [bytes(`${ZERO} 30 01 00 06000000`, '00 00000100 07'), patch(16, slots(words, 16), 0xa)];
}

function slots(strings: readonly string[], bits: number): number[] {
  return strings.map((string) => rawHash(string, bits));
}

/** One PATCH, 1 of 1, zlib, 4-bit, with this value at the slots. */
function patch(bits: number, set: readonly number[], value: number): Buffer {
  const plain = Buffer.alloc(2 ** bits / 2);
  for (const slot of set) {
    const nibble = slot % 2 === 0 ? value << 4 : value;
    plain[slot >> 1] = (plain[slot >> 1] ?? 0) | nibble;
  }
  const data = deflateSync(plain);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(5 + data.length);
  return Buffer.concat([bytes(`${ZERO} 30 01 00 ${size.toString('hex')}`, '01 01 01 01 04'), data]);
}
