import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { patchPayloads, rawHash, rawPrefixes, RawTable, resetPayload, tableSlots } from './raw-table.ts';
import {
  byePayload,
  encodeFrame,
  guidBehind,
  messagesSupportedBody,
  pongPayload,
  pushPayload,
  queryPayload,
  queryText,
  RAW_DESCRIPTOR,
  randomGuid,
  vendorPayload,
} from './raw-wire.ts';

interface Vector {
  name: string;
  kind: string;
  input: unknown;
  hex: string;
  expected: unknown;
}

const vectors = JSON.parse(readFileSync(new URL('../vectors/vectors.json', import.meta.url), 'utf8')) as Vector[];
const GUID = '0011223344556677ff99aabbccddee00';

function named(name: string): Vector {
  const vector = vectors.find((candidate) => candidate.name === name);
  assert.ok(vector, name);
  return vector;
}

function message(descriptor: number, payload: Buffer, guid = GUID, ttl = 1): string {
  return encodeFrame({ guid, descriptor, ttl, hops: 0, payload }).toString('hex');
}

describe('raw wire: the bytes of the raw peers', () => {
  it('writes QUERY, PUSH, PONG, BYE and vendor messages as the vectors have them', () => {
    const query = queryPayload({ text: 'gnutella protocol' });
    assert.equal(message(RAW_DESCRIPTOR.query, query), named('query_plain').hex);
    const push = pushPayload({
      serventGuid: 'a1b2c3d4e5f60718ff2a3b4c5d6e7f00',
      index: 7,
      ip: '203.0.113.7',
      port: 6346,
    });
    assert.equal(message(RAW_DESCRIPTOR.push, push, GUID, 4), named('push').hex);
    const pong = pongPayload(6346, '203.0.113.7', 150, 1024);
    assert.equal(message(RAW_DESCRIPTOR.pong, pong), named('pong_plain').hex);
    const bye = byePayload(503, 'Servent closing\r\nServer: X/1.0\r\n\r\n');
    assert.equal(message(RAW_DESCRIPTOR.bye, bye), named('bye_503').hex);
    const hopsFlow = vendorPayload('BEAR', 4, 1, Buffer.of(0));
    assert.equal(message(RAW_DESCRIPTOR.vendor, hopsFlow, '0'.repeat(32)), named('vm_hops_flow_0').hex);
  });

  it('writes URNs and a GGEP block behind the text of a QUERY as the vector has them', () => {
    const extension = Buffer.from('c302534f40814d4110', 'hex');
    const urns = ['urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB'];
    const query = queryPayload({ flags: 0xbc00, text: 'gnutella protocol', urns, extension });
    const frame = { guid: 'cb007107445566778899aabbccca1800', descriptor: 0x80, ttl: 3, hops: 0, payload: query };
    assert.equal(encodeFrame(frame).toString('hex'), named('query_huge_ggep').hex);
    assert.equal(queryText(query), 'gnutella protocol');
  });

  it('writes MessagesSupported as the vector has it', () => {
    const lists = {
      BEAR: [
        [4, 1],
        [7, 1],
        [11, 1],
        [12, 1],
      ],
      GTKG: [[7, 2]],
      LIME: [
        [11, 3],
        [12, 3],
        [21, 1],
        [22, 2],
      ],
    };
    const list = Object.entries(lists).flatMap(([vendor, ids]) =>
      ids.map(([id = 0, version = 0]) => ({ vendor, id, version })),
    );
    const payload = vendorPayload('', 0, 0, messagesSupportedBody(list));
    assert.equal(message(RAW_DESCRIPTOR.vendor, payload, '0'.repeat(32)), named('vm_messages_supported').hex);
  });

  it('makes a GUID behind another with the same bytes 9 to 12 and others different', () => {
    const guid = randomGuid();
    const behind = guidBehind(guid);
    assert.equal(behind.slice(18, 26), guid.slice(18, 26));
    assert.notEqual(behind.slice(0, 18), guid.slice(0, 18));
    assert.match(behind, /^[0-9a-f]{32}$/);
  });
});

describe('raw table: the tables of the raw peers', () => {
  it('hashes and cuts words as the vectors do', () => {
    const hashes = vectors.filter((vector) => vector.kind === 'qrp-hash');
    assert.ok(hashes.length > 50);
    for (const vector of hashes) {
      const input = vector.input as { word: string; bits: number; lowercase?: boolean };
      // The words in the vectors that must not be lower-cased first are not words of a table.
      if (input.lowercase === false) continue;
      assert.equal(rawHash(input.word, input.bits), vector.expected, vector.name);
    }
    const cuts = vectors.filter((vector) => vector.kind === 'qrp-prefixes-gtkg');
    assert.ok(cuts.length > 0);
    for (const vector of cuts) {
      const input = vector.input as string | { word: string };
      const word = typeof input === 'string' ? input : input.word;
      assert.deepEqual([...rawPrefixes(word)].sort(), [...(vector.expected as string[])].sort(), vector.name);
    }
  });

  it('decodes the patch sequence of the vectors', () => {
    const table = new RawTable();
    table.apply(resetPayload(1024, 2));
    const messages = named('qrp_patch4_1024_multi').expected as string[];
    for (const hex of messages) table.apply(Buffer.from(hex, 'hex').subarray(23));
    assert.deepEqual(table.errors, []);
    assert.deepEqual([...table.slots], named('qrp_table_1024').expected);
  });

  for (const entryBits of [1, 2, 4, 8] as const) {
    it(`decodes what it encodes in ${entryBits}-bit entries, sliced or not, and clears again`, () => {
      const slots = tableSlots({ bits: 12, words: ['gnutella', 'protocol'], urns: ['urn:sha1:ABC'] });
      assert.ok(slots.length > 8);
      for (const form of [{ compress: false }, { slices: 7 }, { compress: false, slices: 3 }]) {
        const table = new RawTable();
        table.apply(resetPayload(4096, 2));
        for (const payload of patchPayloads(12, slots, [], { ...form, entryBits })) table.apply(payload);
        assert.deepEqual([...table.slots], slots);
        assert.ok(table.has('gnutel') && table.has('protocol') && !table.has('absent'));
        for (const payload of patchPayloads(12, [], slots.slice(1), { ...form, entryBits })) table.apply(payload);
        assert.deepEqual([...table.slots], slots.slice(0, 1));
        assert.equal(table.completed, 2);
        assert.deepEqual(table.errors, []);
      }
    });
  }

  it('writes the worked patches of page 05 byte for byte, gtk-gnutella and LimeWire values', () => {
    const slot = rawHash('test', 3);
    const plain = { compress: false };
    assert.equal(patchPayloads(3, [slot], [], { ...plain, delta: 6 })[0]?.toString('hex'), '010101000400a00000');
    assert.equal(patchPayloads(3, [slot], [], plain)[0]?.toString('hex'), '010101000400f00000');
    const removal = patchPayloads(3, [], [slot], { ...plain, entryBits: 8, delta: 6 });
    assert.equal(removal[0]?.toString('hex'), '01010100080000060000000000');
  });

  it('keeps as errors a patch before RESET, a number out of order, a wrong size and bad zlib', () => {
    const [whole = Buffer.alloc(0)] = patchPayloads(12, [1], []);
    const [, second = Buffer.alloc(0)] = patchPayloads(12, [1], [], { slices: 2 });
    const short = Buffer.concat([Buffer.of(1, 1, 1, 0, 4), Buffer.alloc(100)]);
    const garbled = Buffer.concat([whole.subarray(0, 5), Buffer.from('garbage')]);
    const early = new RawTable();
    early.apply(whole);
    assert.equal(early.errors.length, 1);
    for (const payload of [second, short, garbled, Buffer.of(9)]) {
      const table = new RawTable();
      table.apply(resetPayload(4096, 2));
      table.apply(payload);
      assert.equal(table.errors.length, 1, payload.toString('hex', 0, 12));
      assert.equal(table.slots.size, 0);
    }
  });
});
