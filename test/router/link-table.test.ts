import assert from 'node:assert/strict';
import { LinkCapability, LinkKind } from '@filbert/contracts';
import { merge, SlotSet, tableMatches } from '@filbert/gnutella';
import fc from 'fast-check';
import { LinkTable, type EdgeLinks, type Link } from '../../services/router/src/link-table.ts';
import { MIN_MERGED_BITS } from '../../services/router/src/merged-table.ts';
import {
  applied,
  edgeOf,
  goneRecord,
  LEAF,
  NO_TABLE,
  recordOf,
  tableDifference,
  ULTRAPEER,
  wholeTable,
} from './links.ts';
import { anyTable, hashesOf, tableOf } from './tables.ts';

function newTable(): { links: LinkTable; edge: EdgeLinks; gone: Link[] } {
  const gone: Link[] = [];
  return { links: new LinkTable({ onGone: (link) => gone.push(link) }), edge: edgeOf(), gone };
}

/** Links whose column the filter finds for a word. */
function candidates(links: LinkTable, word: string): (Link | undefined)[] {
  const out = new Uint32Array(links.matrix.columns);
  const found = links.matrix.find(hashesOf([word]), 1, new Uint32Array(0), 0, out);
  return [...out.subarray(0, found)].map((column) => links.byColumn(column));
}

const guidOf = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const hexOf = (byte: number): string => Buffer.from(guidOf(byte)).toString('hex');

describe('LinkTable', () => {
  it('router: a record told twice changes nothing the second time', () => {
    const { links, edge } = newTable();
    const record = recordOf(7, {
      address: '192.0.2.1:6346',
      serventGuid: guidOf(1),
      hopsFlow: 4,
      maxTtl: 3,
      degree: 32,
      capabilities: 5,
      table: wholeTable(tableOf(['alpha'])),
    });
    const link = applied(links, edge, record);
    links.merged.takeChange();
    const { serial } = link;
    assert.equal(applied(links, edge, record), link);
    assert.equal(link.serial, serial);
    assert.deepEqual(
      [link.kind, link.address, link.guid, link.hopsFlow, link.maxTtl, link.degree, link.capabilities],
      [LEAF, '192.0.2.1:6346', hexOf(1), 4, 3, 32, 5],
    );
    assert.deepEqual([links.size, links.leavesWithTable, links.ultrapeers.length], [1, 1, 0]);
    assert.equal(links.merged.takeChange(), undefined);
    assert.deepEqual(candidates(links, 'alpha'), [link]);
    links.apply(edge, goneRecord(7));
    links.apply(edge, goneRecord(7));
    assert.equal(links.size, 0);
  });

  it('router: a record without a table leaves the table as it is', () => {
    const { links, edge } = newTable();
    const link = applied(links, edge, recordOf(1, { table: wholeTable(tableOf(['alpha'])) }));
    applied(links, edge, recordOf(1, { address: '192.0.2.9:1' }));
    assert.deepEqual(candidates(links, 'alpha'), [link]);
    applied(links, edge, recordOf(1, { table: NO_TABLE }));
    assert.equal(link.table, undefined);
    assert.deepEqual(candidates(links, 'alpha'), []);
    assert.deepEqual([links.leavesWithTable, links.merged.count], [0, 0]);
  });

  it('router: a table comes whole, in parts and as differences; another size starts it anew', () => {
    const { links, edge } = newTable();
    const whole = tableOf(['alpha', 'beta', 'gamma', 'delta']);
    const slots = [...whole.slots()];
    applied(links, edge, recordOf(1, { table: { ...tableDifference(16, slots.slice(0, 2)), reset: true } }));
    const link = applied(links, edge, recordOf(1, { table: tableDifference(16, slots.slice(2)) }));
    assert.ok(link.table?.equals(whole));
    const [first = 0] = slots;
    applied(links, edge, recordOf(1, { table: tableDifference(16, [5], [first]) }));
    assert.deepEqual(
      [...(link.table?.slots() ?? [])],
      [5, ...slots.slice(1)].sort((a, b) => a - b),
    );
    applied(links, edge, recordOf(1, { table: tableDifference(17, [99]) }));
    assert.deepEqual([link.table?.bits, ...(link.table?.slots() ?? [])], [17, 99]);
    applied(links, edge, recordOf(1, { table: { ...tableDifference(17, [3]), reset: true } }));
    assert.deepEqual([...(link.table?.slots() ?? [])], [3]);
    assert.ok(links.merged.count === 1 && links.leavesWithTable === 1);
  });

  it('router: a table of under 8 slots, or of more than 2^21, counts as none', () => {
    const { links, edge } = newTable();
    for (const bits of [1, 2, 22, 24]) {
      const link = applied(links, edge, recordOf(bits, { table: tableDifference(bits, [1]) }));
      assert.equal(link.table, undefined, `2^${bits}`);
    }
    assert.deepEqual([links.leavesWithTable, links.merged.count], [0, 0]);
  });

  it('router: whatever records come, matrix and merged table say what the links do', () => {
    const step = fc.record({
      number: fc.nat(5),
      kind: fc.constantFrom(LEAF, LEAF, ULTRAPEER, LinkKind.LINK_KIND_LIBRARY),
      table: fc.option(anyTable, { nil: undefined }),
      hopsFlow: fc.constantFrom(0, 2, 3, 255),
      end: fc.constantFrom('no', 'no', 'no', 'gone', 'no-table' as const),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        const { links, edge } = newTable();
        for (const { number, kind, table, hopsFlow, end } of steps) {
          if (end === 'gone') links.apply(edge, goneRecord(number));
          else if (end === 'no-table') links.apply(edge, recordOf(number, { kind, hopsFlow, table: NO_TABLE }));
          else {
            const change = table === undefined ? undefined : wholeTable(table);
            links.apply(edge, recordOf(number, { kind, hopsFlow, table: change }));
          }
        }
        const all = [...edge.links.values()];
        const withTable = all.filter((link) => link.table !== undefined);
        assert.deepEqual(
          [...links.all()].sort((a, b) => a.number - b.number),
          all.sort((a, b) => a.number - b.number),
        );
        assert.deepEqual(new Set(links.ultrapeers), new Set(all.filter((link) => link.kind === ULTRAPEER)));
        assert.equal(links.leavesWithTable, withTable.filter((link) => link.kind !== ULTRAPEER).length);
        assert.equal(links.ultrapeersWithTable, withTable.filter((link) => link.kind === ULTRAPEER).length);
        assert.equal(new Set(withTable.map((link) => link.column)).size, withTable.length);
        for (const link of withTable) assert.equal(links.byColumn(link.column), link);
        for (const word of ['word1', 'word2', 'word3', 'word40']) {
          const found = new Set(candidates(links, word));
          for (const link of withTable) {
            const matches = link.table !== undefined && tableMatches(link.table, hashesOf([word]), 1, hashesOf([]), 0);
            assert.ok(!matches || found.has(link));
          }
          assert.ok(!found.has(undefined));
        }
        const merged = withTable.filter(
          ({ kind, hopsFlow, table }) =>
            kind !== ULTRAPEER &&
            hopsFlow >= 3 &&
            table !== undefined &&
            table.bits > 3 &&
            // Our own files are told however many they are.
            (kind === LinkKind.LINK_KIND_LIBRARY || table.count <= 0.9 * 2 ** table.bits),
        );
        assert.equal(
          links.merged.count,
          merge(
            merged.flatMap((link) => link.table ?? []),
            MIN_MERGED_BITS,
          ).count,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('router: the table of a leaf that takes fewer than 3 hops is left out of the merged one until it takes more (conformance 47, 48)', () => {
    const { links, edge } = newTable();
    const table = wholeTable(tableOf(['alpha']));
    applied(links, edge, recordOf(1, { hopsFlow: 0, table }));
    assert.equal(links.merged.count, 0);
    for (const [hopsFlow, merged] of [
      [5, 1],
      [2, 0],
      [3, 1],
      [0, 0],
      [255, 1],
    ]) {
      applied(links, edge, recordOf(1, { hopsFlow: hopsFlow as number }));
      assert.equal(links.merged.count, merged, `hops-flow ${hopsFlow}`);
    }
    assert.equal(candidates(links, 'alpha').length, 1);
  });

  it('router: tables of ultrapeers, of 8 slots and those nearly full are not merged', () => {
    const { links, edge } = newTable();
    const full = (count: number): SlotSet =>
      SlotSet.fromSlots(
        10,
        Uint32Array.from({ length: count }, (_, i) => i),
      );
    applied(links, edge, recordOf(1, { kind: ULTRAPEER, table: wholeTable(tableOf(['alpha'])) }));
    applied(links, edge, recordOf(2, { table: wholeTable(tableOf(['alpha'], 3)) }));
    applied(links, edge, recordOf(3, { table: wholeTable(full(1_000)) }));
    assert.equal(links.merged.count, 0);
    applied(links, edge, recordOf(3, { table: wholeTable(full(500)) }));
    assert.equal(links.merged.count, 500 * 64);
    applied(links, edge, recordOf(4, { kind: LinkKind.LINK_KIND_LIBRARY, table: wholeTable(tableOf(['alpha'], 10)) }));
    assert.ok(links.merged.count > 500 * 64);
    // Nobody but ourselves can tell others what we share.
    applied(links, edge, recordOf(4, { kind: LinkKind.LINK_KIND_LIBRARY, table: wholeTable(full(1_000)) }));
    assert.equal(links.merged.count, 1_000 * 64);
  });

  it('router: a leaf that becomes an ultrapeer leaves the merged table and joins the ultrapeers, and back', () => {
    const { links, edge } = newTable();
    const link = applied(links, edge, recordOf(1, { table: wholeTable(tableOf(['alpha'])) }));
    for (const kind of [ULTRAPEER, LEAF, ULTRAPEER]) {
      applied(links, edge, recordOf(1, { kind }));
      const isLeaf = kind === LEAF;
      assert.deepEqual(links.ultrapeers, isLeaf ? [] : [link]);
      assert.deepEqual([links.leavesWithTable, links.ultrapeersWithTable], isLeaf ? [1, 0] : [0, 1]);
      assert.equal(links.merged.count, isLeaf ? 1 : 0);
      assert.equal(link.isFiltered, isLeaf);
    }
  });

  it('router: the first owner of a servent GUID keeps it, and the next one has it when the first is gone', () => {
    const { links, edge } = newTable();
    const first = applied(links, edge, recordOf(1, { serventGuid: guidOf(1) }));
    const second = applied(links, edge, recordOf(2, { serventGuid: guidOf(1) }));
    const third = applied(links, edge, recordOf(3, { serventGuid: guidOf(1) }));
    applied(links, edge, recordOf(2, { serventGuid: guidOf(1) }));
    assert.equal(links.byGuid(guidOf(1)), first);
    links.remove(first);
    assert.equal(links.byGuid(guidOf(1)), second);
    // Who gives its claim up has none later.
    applied(links, edge, recordOf(3, { serventGuid: guidOf(3) }));
    assert.equal(links.byGuid(guidOf(3)), third);
    links.remove(second);
    assert.equal(links.byGuid(guidOf(1)), undefined);
  });

  it('router: who told a servent GUID in the handshake, or is the node itself, takes it from who only claimed it later', () => {
    const { links, edge } = newTable();
    const proven = { serventGuid: guidOf(1), capabilities: LinkCapability.handshakeGuid };
    const claiming = applied(links, edge, recordOf(1, { serventGuid: guidOf(1) }));
    assert.equal(links.byGuid(guidOf(1)), claiming);
    const proving = applied(links, edge, recordOf(2, proven));
    assert.equal(links.byGuid(guidOf(1)), proving);
    // Of two that prove it the first one keeps it, and the next of them has it before any that only claims it.
    const second = applied(links, edge, recordOf(3, proven));
    assert.equal(links.byGuid(guidOf(1)), proving);
    links.remove(proving);
    assert.equal(links.byGuid(guidOf(1)), second);
    links.remove(second);
    assert.equal(links.byGuid(guidOf(1)), claiming);
    const own = applied(links, edge, recordOf(4, { kind: LinkKind.LINK_KIND_TRANSFERS, serventGuid: guidOf(1) }));
    assert.equal(links.byGuid(guidOf(1)), own);
    applied(links, edge, recordOf(1, { serventGuid: guidOf(1) }));
    assert.equal(links.byGuid(guidOf(1)), own);
  });

  it('router: a GUID that changes or is not 16 bytes long is owned no more', () => {
    const { links, edge } = newTable();
    const link = applied(links, edge, recordOf(1, { serventGuid: guidOf(1) }));
    applied(links, edge, recordOf(1, { serventGuid: guidOf(2) }));
    assert.deepEqual([links.byGuid(guidOf(1)), links.byGuid(guidOf(2))], [undefined, link]);
    for (const length of [0, 15, 17]) {
      applied(links, edge, recordOf(1, { serventGuid: guidOf(2) }));
      applied(links, edge, recordOf(1, { serventGuid: new Uint8Array(length).fill(2) }));
      assert.equal(links.byGuid(guidOf(2)), undefined, `${length} bytes`);
    }
    assert.equal(links.byGuid(new Uint8Array(16)), undefined);
  });

  it('router: a link that is gone leaves nothing behind', () => {
    const { links, edge, gone } = newTable();
    const table = wholeTable(tableOf(['alpha']));
    const leaf = applied(links, edge, recordOf(1, { serventGuid: guidOf(1), table }));
    const ultrapeer = applied(links, edge, recordOf(2, { kind: ULTRAPEER, serventGuid: guidOf(2), table }));
    links.apply(edge, goneRecord(1));
    links.apply(edge, goneRecord(2));
    assert.deepEqual(gone, [leaf, ultrapeer]);
    assert.ok(!leaf.alive && leaf.table === undefined && leaf.column === -1);
    assert.deepEqual([links.size, links.leavesWithTable, links.ultrapeersWithTable, links.merged.count], [0, 0, 0, 0]);
    assert.deepEqual(links.ultrapeers, []);
    assert.deepEqual(
      [links.bySerial(leaf.serial), links.byGuid(guidOf(1)), links.byGuid(guidOf(2))],
      [undefined, undefined, undefined],
    );
    assert.deepEqual(candidates(links, 'alpha'), []);
    assert.equal(edge.links.size, 0);
    // The edge never reuses a number, but a replay may name the link again: it is another one then.
    const again = applied(links, edge, recordOf(1, { table }));
    assert.ok(again.serial > ultrapeer.serial);
    assert.deepEqual(candidates(links, 'alpha'), [again]);
  });

  it('router: an edge that is gone takes its own links with it and no others', () => {
    const { links, edge, gone } = newTable();
    const other = edgeOf('edge-1');
    for (const number of [1, 2, 3]) {
      applied(links, edge, recordOf(number, { table: wholeTable(tableOf(['alpha'])) }));
      applied(links, other, recordOf(number, { kind: ULTRAPEER }));
    }
    links.removeEdge(edge);
    assert.deepEqual([gone.length, links.size, edge.links.size, other.links.size], [3, 3, 0, 3]);
    assert.deepEqual(links.ultrapeers, [...other.links.values()]);
  });

  it('router: the merged table grows while large tables fill it, to the union of all of them', () => {
    const { links, edge } = newTable();
    const large = SlotSet.fromSlots(
      18,
      Uint32Array.from({ length: 2 ** 17 }, (_, i) => i * 2),
    );
    applied(links, edge, recordOf(1, { table: wholeTable(large) }));
    applied(links, edge, recordOf(2, { table: wholeTable(tableOf(['alpha'], 18)) }));
    applied(links, edge, recordOf(3, { kind: ULTRAPEER, table: wholeTable(tableOf(['beta', 'gamma'], 18)) }));
    links.growMergedIfDue();
    assert.equal(links.merged.bits, 18);
    assert.equal(links.merged.count, merge([large, tableOf(['alpha'], 18)], 18).count);
  });
});
