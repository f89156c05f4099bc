import assert from 'node:assert/strict';
import {
  edgeState,
  emptyLinkRecord,
  NO_TABLE,
  packed,
  ReplayMark,
  StateBatch,
  unpackUint32,
  type LinkRecord,
  type TableChange,
} from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import { StateStream, type DescribedLink } from '@filbert/contracts';
import { EDGE_ID, turns } from '../../support/frame-bench.ts';

const { REPLAY_MARK_UNSPECIFIED: LIVE, REPLAY_MARK_BEGIN, REPLAY_MARK_PART, REPLAY_MARK_END } = ReplayMark;

/** No message of the stream may be larger, encoded. */
const MOST_BYTES = 256 * 1024;

function tableOf(slots: number, reset = true): TableChange {
  return { ...NO_TABLE, bits: 20, reset, setSlots: packed(new Uint32Array(slots)) };
}

/** A link with a table of so many records of so many slots. */
class SomeLink implements DescribedLink {
  readonly number: number;
  hopsFlow = 255;
  tables: TableChange[] = [];
  described = 0;
  onDescribe: (() => void) | undefined;

  constructor(number: number) {
    this.number = number;
  }

  describe(): LinkRecord {
    this.described++;
    this.onDescribe?.();
    return { ...emptyLinkRecord(this.number), kind: 1, address: '255.255.255.255:65535', hopsFlow: this.hopsFlow };
  }

  describeTable(): TableChange[] {
    return this.tables;
  }
}

describe('connections state stream', () => {
  let bus: Bus;
  let links: SomeLink[];
  let stream: StateStream;
  let batches: StateBatch[];

  beforeEach(() => {
    bus = createInProcessBus();
    links = [1, 2, 3].map((number) => new SomeLink(number));
    stream = new StateStream({ bus, edgeId: EDGE_ID, epoch: 7, links: () => links });
    batches = [];
    bus.subscribe(edgeState(EDGE_ID), (batch) => batches.push(batch));
  });
  afterEach(() => bus.drain());

  function link(index: number): SomeLink {
    const found = links[index];
    assert.ok(found);
    return found;
  }

  /** What a shard holds after the batches: link number → hops-flow, checked for gaps. */
  function followed(): Map<number, number> {
    const held = new Map<number, number>();
    let last: number | undefined;
    for (const batch of batches) {
      if (batch.replay !== LIVE) assert.ok(last === undefined || batch.firstNumber === last, 'a replay has no numbers');
      else {
        assert.ok(last === undefined || batch.firstNumber === last + 1, 'numbers go on without a gap');
        last = batch.firstNumber + batch.records.length - 1;
      }
      for (const record of batch.records) {
        if (record.gone) held.delete(record.link);
        else held.set(record.link, record.hopsFlow);
      }
      if (batch.replay === REPLAY_MARK_END) {
        const live = new Set(unpackUint32(batch.liveLinks));
        for (const number of held.keys()) if (!live.has(number)) held.delete(number);
      }
    }
    return held;
  }

  it('sends the records of one turn in one message, numbered from the first', async () => {
    for (const one of links) stream.upsert(one);
    stream.gone(2);
    assert.equal(stream.number, 4);
    assert.equal(batches.length, 0, 'not before the turn is over');
    await turns();
    stream.upsert(link(0));
    await turns();
    assert.deepEqual(
      batches.map(({ edgeId, epoch, firstNumber, records, replay }) => [
        edgeId,
        epoch,
        firstNumber,
        records.length,
        replay,
      ]),
      [
        [EDGE_ID, 7, 1, 4, LIVE],
        [EDGE_ID, 7, 5, 1, LIVE],
      ],
    );
    assert.deepEqual(
      batches[0]?.records.map((record) => [record.link, record.gone]),
      [
        [1, false],
        [2, false],
        [3, false],
        [2, true],
      ],
    );
  });

  it('can be flushed before frames that rely on it, and then sends nothing twice', async () => {
    stream.upsert(link(0), tableOf(3));
    stream.flush();
    stream.flush();
    await turns();
    assert.equal(batches.length, 1);
    assert.equal(batches[0]?.records[0]?.table?.setSlots.length, 12);
  });

  it('describes a link at the time of the call', async () => {
    stream.upsert(link(0));
    link(0).hopsFlow = 0;
    await turns();
    assert.equal(batches[0]?.records[0]?.hopsFlow, 255);
  });

  it('cuts what is told in one turn into messages of at most 256 KiB, whatever the tables', async () => {
    const sizes = [32 * 1024, 31 * 1024, 1, 32 * 1024, 20 * 1024, 20 * 1024, 32 * 1024, 32 * 1024];
    for (const slots of sizes) stream.upsert(link(0), tableOf(slots));
    for (let i = 0; i < 3000; i++) stream.upsert(link(1));
    await turns();
    assert.equal(
      batches.reduce((sum, { records }) => sum + records.length, 0),
      sizes.length + 3000,
    );
    for (const batch of batches) assert.ok(StateBatch.encode(batch).finish().length <= MOST_BYTES);
    assert.ok(batches.length < 20, 'and not into crumbs');
    followed();
  });

  it('repeats every live link and its table between begin and end, without numbers of its own', async () => {
    link(1).tables = [tableOf(5), tableOf(6, false)];
    for (const one of links) stream.upsert(one);
    await turns();
    batches.length = 0;
    stream.replay();
    await turns();
    assert.deepEqual(
      batches.map(({ firstNumber, records, replay }) => [firstNumber, records.length, replay]),
      [
        [3, 0, REPLAY_MARK_BEGIN],
        [3, 4, REPLAY_MARK_PART],
        [3, 0, REPLAY_MARK_END],
      ],
    );
    assert.deepEqual(
      batches[1]?.records.map((record) => [record.link, record.table?.setSlots.length]),
      [
        [1, undefined],
        [2, 20],
        [2, 24],
        [3, undefined],
      ],
    );
    assert.deepEqual([...unpackUint32(batches[2]?.liveLinks ?? new Uint8Array(0))], [1, 2, 3]);
    assert.equal(stream.number, 3);
  });

  it('sends what waits before a replay that includes it', async () => {
    stream.upsert(link(0));
    stream.replay();
    await turns();
    assert.deepEqual(
      batches.map(({ replay }) => replay),
      [LIVE, REPLAY_MARK_BEGIN, REPLAY_MARK_PART, REPLAY_MARK_END],
    );
    followed();
  });

  it('cuts a replay into messages of at most 256 KiB', async () => {
    links = Array.from({ length: 40 }, (_, i) => new SomeLink(i + 1));
    links.forEach((one, i) => {
      one.tables = i % 2 === 0 ? [tableOf(32 * 1024), tableOf(31 * 1024, false)] : [tableOf(100)];
    });
    stream.replay();
    while (batches.at(-1)?.replay !== REPLAY_MARK_END) await turns();
    assert.equal(
      batches.reduce((sum, { records }) => sum + records.length, 0),
      60,
    );
    for (const batch of batches) assert.ok(StateBatch.encode(batch).finish().length <= MOST_BYTES);
  });

  it('names a great many live links at the end of a replay in messages of at most 256 KiB, in one turn', async () => {
    // Most of them are told of in earlier slices; what counts is how they are named at the end.
    links = Array.from({ length: 120_000 }, (_, i) => new SomeLink(i + 1));
    stream.replay();
    while (batches.at(-1)?.replay !== REPLAY_MARK_END) await turns(1);
    const naming = batches.filter(({ liveLinks }) => liveLinks.length > 0);
    assert.ok(naming.length > 1);
    assert.ok(batches.every((batch) => StateBatch.encode(batch).finish().length <= MOST_BYTES));
    const named = naming.flatMap(({ liveLinks }) => [...unpackUint32(liveLinks)]);
    assert.deepEqual(
      named,
      links.map(({ number }) => number),
    );
    assert.deepEqual(
      naming.map(({ replay }) => replay),
      [...naming.slice(1).map(() => REPLAY_MARK_PART), REPLAY_MARK_END],
    );
  });

  it('lets other work in during a long replay, whose changes then stand in order', async () => {
    links = Array.from({ length: 60 }, (_, i) => new SomeLink(i + 1));
    // Each link takes a millisecond to describe: a slice of 5 ms holds a few.
    for (const one of links) {
      one.onDescribe = () => {
        const until = performance.now() + 1;
        while (performance.now() < until);
      };
    }
    stream.replay();
    let slices = 0;
    while (batches.at(-1)?.replay !== REPLAY_MARK_END) {
      await turns(1);
      slices++;
      if (slices === 2) {
        link(0).hopsFlow = 1;
        stream.upsert(link(0));
        link(59).hopsFlow = 2;
        stream.upsert(link(59));
        // One goes before it was repeated, one comes after the replay began.
        links = links.filter(({ number }) => number !== 58);
        stream.gone(58);
        const added = new SomeLink(61);
        links = [...links, added];
        stream.upsert(added);
      }
      assert.ok(slices < 1000);
    }
    assert.ok(slices > 3, `${slices} slices`);
    const held = followed();
    assert.equal(held.size, 60);
    assert.deepEqual([held.get(1), held.get(60), held.get(58), held.get(61)], [1, 2, undefined, 255]);
  });

  it('makes one more replay follow where any number were asked for during one', async () => {
    links = Array.from({ length: 30 }, (_, i) => new SomeLink(i + 1));
    for (const one of links) {
      one.onDescribe = () => {
        const until = performance.now() + 1;
        while (performance.now() < until);
      };
    }
    stream.replay();
    stream.replay();
    stream.replay();
    const ends = (): number => batches.filter(({ replay }) => replay === REPLAY_MARK_END).length;
    while (ends() < 2) await turns();
    await turns(5);
    assert.equal(ends(), 2);
    assert.ok(links.every(({ described }) => described === 2));
  });

  it('sends what waits when it is closed and nothing after', async () => {
    stream.upsert(link(0));
    stream.close();
    stream.upsert(link(1));
    stream.gone(1);
    await turns();
    assert.equal(batches.length, 1);
    assert.equal(stream.number, 1);
  });
});
