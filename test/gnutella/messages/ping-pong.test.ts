import assert from 'node:assert/strict';
import {
  decodePing,
  decodePong,
  encodePing,
  encodePong,
  encodePackedHosts,
  encodePackedHosts6,
  freeSlotsField,
  HEADER_BYTES,
  ipv6FromText,
  leafKib,
  NO_IPV4,
  pingPurpose,
  pongAddress,
  readDailyUptimeSeconds,
  readFreeSlots,
  readOwnAddress,
  readPackedHosts,
  readUdpHostCache,
  readVendorVersion,
  ultrapeerKib,
  vendorVersionField,
} from '@filbert/gnutella';
import type { GgepEntry, GgepPart, Pong, PongFields } from '@filbert/gnutella';
import { hexBytes, limewireVectors } from '../vectors.ts';
import { MESSAGE, reasonOf, valueOf } from './frames.ts';

const plain: PongFields = { port: 6346, ip: 0x08080808, files: 1, kib: 1024, isUltrapeer: true };

function pongWith(ggep: readonly GgepPart[], fields: Partial<PongFields> = {}): Pong {
  const frame = encodePong({ guid: MESSAGE, ttl: 1 }, { ...plain, ...fields, ggep });
  return valueOf(decodePong(frame, HEADER_BYTES, frame.length));
}

function extensions(...parts: GgepPart[]): readonly GgepEntry[] {
  return pongWith(parts).ggep;
}

function payload(hex: string): string {
  const bytes = hexBytes(hex);
  return reasonOf(decodePong(bytes, 0, bytes.length));
}

describe('ping', () => {
  it('means by hops and TTL what the table says', () => {
    const table = [
      [0, 0, 'acknowledgement'],
      [0, 1, 'alive'],
      [0, 2, 'crawler'],
      [0, 3, 'refill'],
      [0, 7, 'refill'],
      [1, 1, 'refill'],
      [2, 0, 'refill'],
    ] as const;
    for (const [hops, ttl, purpose] of table) assert.equal(pingPurpose(hops, ttl), purpose);
  });

  it('refuses a payload that is not GGEP, or over 1536 bytes', () => {
    assert.equal(reasonOf(decodePing(hexBytes('41'), 0, 1)), 'no-magic');
    const large = encodePing({ guid: MESSAGE, ttl: 1 }, [{ id: 'A', value: new Uint8Array(1600) }]);
    assert.equal(reasonOf(decodePing(large, HEADER_BYTES, large.length)), 'too-large');
  });
});

describe('pong', () => {
  it('treats LimeWire’s payloads as the page says', () => {
    const list = limewireVectors['pong'] as readonly { name: string; payload?: string; value_hex?: string }[];
    const named = (name: string): (typeof list)[number] | undefined => list.find((entry) => entry.name === name);
    // Deliberate difference: LimeWire takes a tail that is no GGEP; here such a PONG is dropped (02 §6).
    const big = named('non-GGEP big pong')?.payload ?? '';
    assert.equal(payload(big), 'no-magic');
    const bytes = hexBytes(big);
    const head = valueOf(decodePong(bytes, 0, 14));
    assert.deepEqual([head.port, head.ip, head.files, head.kib], [15, 0x10101010, 15, 15]);
    assert.ok(named('payload of 13 bytes') && named('payload of 2 bytes'));
    for (const size of [0, 2, 13]) assert.equal(reasonOf(decodePong(bytes, 0, size)), 'short');
    assert.equal(readDailyUptimeSeconds(extensions({ id: 'DU', value: hexBytes(named('DU')?.value_hex ?? '') })), 523);
  });

  it('marks ultrapeers by the KiB field, and leaves never', () => {
    assert.deepEqual([0, 8, 9, 1024, 1025, 2 ** 32].map(ultrapeerKib), [8, 8, 16, 1024, 2048, 2 ** 31]);
    assert.deepEqual([0, 1, 8, 9, 1024, 2 ** 40].map(leafKib), [0, 1, 9, 9, 1025, 2 ** 32 - 1]);
    assert.equal(pongWith([], { files: 2 ** 33 }).files, 10_000_000);
    for (const kib of [0, 1, 2, 4, 8, 1024, 5_000_000]) {
      assert.equal(pongWith([], { kib, isUltrapeer: true }).isUltrapeer, true, String(kib));
      assert.equal(pongWith([], { kib, isUltrapeer: false }).isUltrapeer, false, String(kib));
    }
    assert.equal(
      pongWith([freeSlotsField({ leafSlots: 1, ultrapeerSlots: 2 })], { isUltrapeer: false }).isUltrapeer,
      true,
    );
    assert.equal(payload('ca18080808080100000004000000'), 'accepted');
    assert.equal(valueOf(decodePong(hexBytes('ca18080808080100000004000000'), 0, 14)).isUltrapeer, false);
  });

  it('puts a swapped file count right, and refuses an absurd one', () => {
    const swapped = hexBytes('ca1808080808 00000096 00040000');
    assert.equal(valueOf(decodePong(swapped, 0, 14)).files, 150);
    assert.equal(payload('ca1808080808 ffffffff 00040000'), 'too-many-files');
    assert.equal(payload('ca1808080808 81969800 00040000'), 'too-many-files');
    assert.equal(payload('ca1808080808 80969800 00040000'), 'accepted');
  });

  it('gives the address: IPv4, or GGEP 6 for who has none', () => {
    const value = ipv6FromText('2001:db8::5') ?? new Uint8Array(16);
    const ipv6 = { id: '6', value };
    assert.deepEqual(pongAddress(pongWith([ipv6])), { host: '8.8.8.8', port: 6346 });
    assert.deepEqual(pongAddress(pongWith([ipv6], { ip: NO_IPV4 })), { host: '2001:db8::5', port: 6346 });
    assert.equal(pongAddress(pongWith([], { ip: NO_IPV4 })), undefined);
    assert.equal(pongAddress(pongWith([{ id: '6', value: value.subarray(1) }], { ip: NO_IPV4 })), undefined);
    assert.equal(pongAddress(pongWith([], { port: 0 })), undefined);
  });

  it('refuses a tail that is cut or goes on behind the GGEP', () => {
    const head = 'ca18080808080100000000040000';
    assert.equal(payload(`${head}c3`), 'empty');
    assert.equal(payload(`${head}c38141`), 'truncated');
    assert.equal(payload(`${head}c381414000`), 'no-magic');
  });
});

describe('pong: extensions', () => {
  it('writes and reads slots and vendor', () => {
    const ggep = extensions(freeSlotsField({ leafSlots: 300, ultrapeerSlots: 7 }), vendorVersionField('FLBT', 1, 2));
    assert.deepEqual(readFreeSlots(ggep), { leafSlots: 255, ultrapeerSlots: 7 });
    assert.deepEqual(readVendorVersion(ggep), { vendor: 'FLBT', major: 1, minor: 2 });
    assert.equal(readFreeSlots(extensions({ id: 'UP', value: Uint8Array.of(2, 3) })), undefined);
    assert.equal(readVendorVersion(extensions({ id: 'VC', value: Uint8Array.of(2, 3) })), undefined);
    assert.equal(readFreeSlots([]), undefined);
  });

  it('reads packed hosts of both families with their TLS bits, and takes a broken list for none', () => {
    const ipv4 = [
      { host: '8.8.8.8', port: 1 },
      { host: '9.9.9.9', port: 2 },
    ];
    const ipv6 = [{ host: '2001:db8::5', port: 3 }];
    const good = extensions(
      { id: 'IPP', value: encodePackedHosts(ipv4) },
      { id: 'IPP_TLS', value: Uint8Array.of(0x40) },
      { id: 'IPP6', value: encodePackedHosts6(ipv6) },
    );
    assert.deepEqual(
      readPackedHosts(good).map(({ address, takesTls }) => [address.port, takesTls]),
      [
        [1, false],
        [2, true],
        [3, false],
      ],
    );
    assert.deepEqual(readPackedHosts(extensions({ id: 'IPP', value: new Uint8Array(13).fill(1) })), []);
    assert.deepEqual(readPackedHosts(extensions({ id: 'IPP', value: new Uint8Array(12) })), []);
    assert.deepEqual(readPackedHosts([]), []);
  });

  it('reads our own address in either family', () => {
    assert.deepEqual(readOwnAddress(extensions({ id: 'IP', value: hexBytes('08080808ca18') })), {
      host: '8.8.8.8',
      port: 6346,
    });
    const ipv6 = Uint8Array.of(...(ipv6FromText('2001:db8::5') ?? []), 0xca, 0x18);
    assert.deepEqual(readOwnAddress(extensions({ id: 'IP', value: ipv6 })), { host: '2001:db8::5', port: 6346 });
    for (const hex of ['', '08080808ca', '080808080000']) {
      assert.equal(readOwnAddress(extensions({ id: 'IP', value: hexBytes(hex) })), undefined, hex);
    }
  });

  it('reads the name of a UDP host cache, and takes numbers and rubbish for its own address', () => {
    const nameOf = (text: string): string | undefined =>
      readUdpHostCache(extensions({ id: 'UDPHC', value: new TextEncoder().encode(text) }));
    assert.equal(nameOf('UHC.example.com'), 'uhc.example.com');
    for (const text of ['', '1.2.3.4', 'x y', 'localhost', `${'a.'.repeat(150)}com`, 'a..b'])
      assert.equal(nameOf(text), '');
    assert.equal(readUdpHostCache([]), undefined);
  });
});
