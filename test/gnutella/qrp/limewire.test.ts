import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import { hashWord, merge, QrpReceiver, resize, slotOf, SlotSet, tableForNames, tableMatches } from '@filbert/gnutella';
import { limeWireKeywords, limeWirePrefixes, limeWireTable, packNibbles } from './limewire-profile.ts';
import { patchPayload, patchPayloads, resetPayload } from './patch-payloads.ts';
import { limeWireVectors as lime, vectorsOfKind } from './vectors.ts';

// LimeWire's test values. What is LimeWire's alone runs through limewire-profile.ts; where Filbert departs on purpose,
// the difference is listed here:
const DELIBERATE_DIFFERENCES = {
  'entryBits 1': 'updated', // LimeWire refuses 1-bit patches, Filbert accepts them (docs/protocol/05-qrp.md §2).
  'route-table variant 0xFF': 'ignored', // An unknown variant is dropped and counted (§3).
} as const;

/** Last event of feeding these payloads after a RESET. */
function lastEvent(slots: number, payloads: readonly Uint8Array[]): string {
  const receiver = new QrpReceiver();
  receiver.receive(resetPayload(slots));
  return payloads.map((payload) => receiver.receive(payload).kind).at(-1) ?? 'nothing';
}

const slice = (number: number, size: number, compressor = 0, bits = 4, bytes = 4): Buffer =>
  patchPayload(number, size, compressor, bits, Buffer.alloc(bytes));

describe("LimeWire's query routing values", () => {
  it('hash alike, in part of a text too and in any case', () => {
    for (const { word, bits, hash } of lime.qrp_hash.cases) {
      assert.equal(slotOf(hashWord(word.toLowerCase()), bits), hash, word);
    }
    for (const { text, start, end, bits, hash } of lime.qrp_hash.substring_cases) {
      assert.equal(slotOf(hashWord(text.slice(start, end)), bits), hash, text);
    }
  });

  it('split paths into the same words', () => {
    for (const { path, keywords } of lime.qrp_keywords) assert.deepEqual(limeWireKeywords(path), keywords);
  });

  it('cut the same prefixes', () => {
    for (const { words, out, out_count: count } of lime.qrp_prefixes.cases) {
      const prefixes = limeWirePrefixes(words);
      if (out === undefined) assert.equal(prefixes.length, count);
      else assert.deepEqual(prefixes, out);
    }
    for (const { input, expected } of vectorsOfKind<string, string[]>('qrp-prefixes-limewire')) {
      assert.deepEqual(limeWirePrefixes([input]), expected);
    }
  });

  it('write patches that Filbert takes, plain and deflated, in messages of their size', () => {
    const form = lime.qrp_patch_encoding;
    const slots = 2 ** 14;
    const [there, gone] = [5, 9_000];
    for (const compressor of [form.compressor_none, form.compressor_deflate]) {
      const receiver = new QrpReceiver();
      assert.equal(receiver.receive(resetPayload(slots, form.infinity)).kind, 'reset');
      const tell = (entries: readonly (readonly [slot: number, value: number])[]): SlotSet => {
        const values = new Array<number>(slots).fill(0);
        for (const [slot, value] of entries) values[slot] = value;
        assert.equal(form.entry_bits, 4);
        const packed = packNibbles(values);
        const data = compressor === form.compressor_deflate ? deflateSync(packed) : packed;
        const size = Math.ceil(data.length / form.max_patch_data_bytes);
        const events = Array.from({ length: size }, (_, i) => {
          const part = data.subarray(i * form.max_patch_data_bytes, (i + 1) * form.max_patch_data_bytes);
          return receiver.receive(patchPayload(i + 1, size, compressor, form.entry_bits, part));
        });
        const last = events.at(-1);
        assert.ok(last?.kind === 'updated', JSON.stringify(last));
        return last.table;
      };
      const { present_from_absent: present, absent_from_present: absent } = form;
      assert.deepEqual(
        [
          ...tell([
            [there, present],
            [gone, present],
          ]).slots(),
        ],
        [there, gone],
      );
      assert.deepEqual([...tell([[gone, absent]]).slots()], [there]);
    }
  });

  it('want all words of a query, or where it names files any of these', () => {
    const urns = ['urn:sha1:plsthipqgsszts5fjupakuzwugyqypfb', 'urn:sha1:3i42h3s6nnfq2msvx7xzkyayscx5qbyj'];
    const table = tableForNames(['quiet river.mp3'], [urns[0] as string]);
    const hashes = (texts: readonly string[]): Uint32Array => Uint32Array.from(texts.map(hashWord));
    const asked = (words: readonly string[], named: readonly string[]): boolean =>
      tableMatches(table, hashes(words), words.length, hashes(named), named.length);
    assert.match(lime.qrt_match_rule.text, /all keywords must be present; if the query has URNs only the URNs/);
    assert.equal(asked(['quiet', 'river'], []), true);
    assert.equal(asked(['quiet', 'ocean'], []), false);
    assert.equal(asked([], urns), true);
    assert.equal(asked([], [urns[1] as string]), false);
    assert.equal(asked(['ocean'], urns), true);
  });

  it('extend and halve nibbles to the same table', () => {
    const { entries8, packed4 } = lime.qrp_nibbles.halve;
    assert.equal(packNibbles(entries8).toString('hex'), packed4);
    const tables = [
      [8, Buffer.from(Int8Array.from([...entries8, ...entries8]).buffer)],
      [4, packNibbles([...entries8, ...entries8])],
    ] as const;
    for (const [bits, data] of tables) {
      const receiver = new QrpReceiver();
      receiver.receive(resetPayload(8));
      const event = receiver.receive(patchPayload(1, 1, 0, bits, data));
      assert.ok(event.kind === 'updated');
      assert.deepEqual([...event.table.slots()], [2, 3, 6, 7]);
    }
    for (const { nibble, byte } of lime.qrp_nibbles.extend) {
      const wide = patchPayload(1, 1, 0, 8, Buffer.alloc(8, Number(byte)));
      const narrow = patchPayload(1, 1, 0, 4, Buffer.alloc(4, Number(nibble) * 0x11));
      const counts = [wide, narrow].map((payload) => {
        const receiver = new QrpReceiver();
        receiver.receive(resetPayload(8));
        const event = receiver.receive(payload);
        return event.kind === 'updated' ? event.table.count : -1;
      });
      assert.equal(counts[0], counts[1], nibble);
    }
  });

  it('end the same sequences with an error, but for the listed differences', () => {
    const cases: Record<string, () => string> = {
      'first patch seqNo 2 with no sequence started': () => lastEvent(64, [slice(2, 3)]),
      'after (1/3), patch (2/4): sequence size changed': () => lastEvent(64, [slice(1, 3), slice(2, 4)]),
      'after (1/3), patch (3/3): missing 2': () => lastEvent(64, [slice(1, 3), slice(3, 3)]),
      '(1/3), RESET, then (1/6)': () => lastEvent(64, [slice(1, 3), resetPayload(64), slice(1, 6)]),
      '(1/2),(2/2),(3/2): more than size': () => lastEvent(16, [slice(1, 2), slice(2, 2), slice(3, 2)]),
      'compressor 2 (unknown)': () => lastEvent(64, [slice(1, 1, 2)]),
      'compressor deflate with 10 zero bytes': () => lastEvent(64, [slice(1, 1, 1, 4, 10)]),
      'RESET 1024 inf 2 then 1025 bytes of 8-bit data': () => lastEvent(1024, [slice(1, 1, 0, 8, 1025)]),
      'entryBits 1': () => lastEvent(32, [slice(1, 1, 0, 1)]),
      'route-table variant 0xFF': () => lastEvent(64, [Buffer.from([0xff, 1, 1, 0, 4, 0])]),
    };
    assert.deepEqual(lime.qrp_errors.map((error) => error.case).sort(), Object.keys(cases).sort());
    const differences: Record<string, string> = DELIBERATE_DIFFERENCES;
    for (const { case: name, ok } of lime.qrp_errors) {
      const kind = cases[name]?.();
      const expected = differences[name] ?? (ok ? 'partial' : 'fault');
      assert.equal(kind, expected, name);
    }
  });

  it('resize alike; sizes that are no powers of two do not reach a table', () => {
    let compared = 0;
    for (const { src, dst, src_set: from, dst_set: to } of lime.qrp_resize) {
      const [srcBits, dstBits] = [Math.log2(src), Math.log2(dst)];
      if (Number.isInteger(srcBits) && Number.isInteger(dstBits)) {
        assert.deepEqual([...resize(SlotSet.fromSlots(srcBits, Uint32Array.from(from)), dstBits).slots()], to);
        compared++;
      } else {
        const odd = Number.isInteger(srcBits) ? dst : src;
        assert.equal(new QrpReceiver().receive(resetPayload(odd)).kind, 'fault');
      }
    }
    assert.equal(compared, 2);
  });

  it('keep words findable from 128 slots in 512 and in 32', () => {
    const words = ['good', 'book', 'bad'];
    const table = limeWireTable(7, [words.join(' ')]);
    for (const bits of [9, 5]) {
      const resized = merge([table], bits);
      for (const word of words) assert.ok(resized.hasWordHash(hashWord(word)), `${word} in 2^${bits}`);
    }
  });

  it('read the same fields from messages', () => {
    const [patch, reset] = lime.qrp_messages.map((message) => Buffer.from(message.hex, 'hex').subarray(23));
    assert.ok(patch !== undefined && reset !== undefined && lime.qrp_messages.length === 2);
    const receiver = new QrpReceiver();
    assert.equal(receiver.receive(reset).kind, 'reset');
    const update = receiver.receive(patchPayload(1, 1, 0, 1, Buffer.alloc(32)));
    assert.ok(update.kind === 'updated' && update.table.bits === 8);
    // PATCH 1 of 255, deflate, 2 bits, with data that is no zlib stream: that is the only thing wrong with it.
    const untouched = { kind: 'fault', reason: 'QRP patch cannot be inflated' };
    assert.deepEqual(receiver.receive(patch), untouched);
    receiver.receive(reset);
    const zlib = deflateSync(Buffer.alloc(64));
    assert.equal(receiver.receive(Buffer.concat([patch.subarray(0, 5), zlib.subarray(0, 2)])).kind, 'partial');
    assert.equal(receiver.receive(patchPayload(2, 255, 1, 2, zlib.subarray(2, 3))).kind, 'partial');
    assert.equal(receiver.receive(patchPayload(3, 255, 1, 4, zlib.subarray(3, 4))).kind, 'fault');
  });

  it('fill tables with as many entries and find the same words (1024 slots for 1000)', () => {
    const urn = 'urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB';
    for (const { size, add, entries, contains } of lime.qrt_entries) {
      assert.equal(size, 1000);
      const table = limeWireTable(
        10,
        add.map((name) => (name === '<urn:sha1>' ? urn : name)),
      );
      assert.equal(table.count, entries);
      for (const [text, expected] of Object.entries(contains ?? {})) {
        const isUrn = text === '<urn:sha1>';
        const words = isUrn ? [] : text.split(' ');
        const hashes = Uint32Array.from(words, hashWord);
        const urns = Uint32Array.from(isUrn ? [hashWord(urn.toLowerCase())] : []);
        assert.equal(tableMatches(table, hashes, hashes.length, urns, urns.length), expected, text);
      }
    }
  });

  it('decode 5000 entries of infinity 15 and of the patches that LimeWire sends', () => {
    const slots = Uint32Array.from({ length: 5000 }, (_, index) => Math.imul(index + 1, 0x9e3779b1) >>> 16);
    const table = SlotSet.fromSlots(16, slots);
    const lengths = Array.from({ length: 20 }, (_, index) => 4096 * (index + 1) - 1);
    for (const form of [
      { entryBits: 8, present: -14, absent: 14 },
      { entryBits: 4, present: -6, absent: 6, zlib: true },
    ] as const) {
      const receiver = new QrpReceiver();
      receiver.receive(resetPayload(65_536, 15));
      const payloads = patchPayloads(undefined, table, form, lengths);
      assert.ok(payloads.length > 1);
      const events = payloads.map((payload) => receiver.receive(payload));
      const last = events.at(-1);
      assert.ok(last?.kind === 'updated' && last.table.equals(table));
    }
  });

  it('inflate a stream exactly, however it is cut', () => {
    const table = SlotSet.fromSlots(
      12,
      Uint32Array.from({ length: 300 }, (_, index) => (index * 37) % 4096),
    );
    const length = deflateSync(Buffer.alloc(0)).length;
    for (let every = 1; every < 90; every += 11) {
      const cuts = Array.from({ length: 254 }, (_, index) => (index * every) % 5000).filter((cut) => cut > length);
      const receiver = new QrpReceiver();
      receiver.receive(resetPayload(4096));
      const events = patchPayloads(undefined, table, { entryBits: 4, zlib: true }, cuts).map((p) =>
        receiver.receive(p),
      );
      const last = events.at(-1);
      assert.ok(last?.kind === 'updated' && last.table.equals(table), `cut every ${every} bytes`);
    }
  });
});
