import assert from 'node:assert/strict';
import {
  EDGE_LOST_MS,
  EdgeSummary,
  IngressBatch,
  MAX_EDGES,
  packed,
  ReplayMark,
  StateBatch,
  type LinkRecord,
} from '@filbert/contracts';
import { LinkTable, type EdgeLinks } from '../../services/router/src/link-table.ts';
import { HOLD_MS, MAX_HELD_BATCHES, REPLAY_ASK_MS, StateFollower } from '../../services/router/src/state-follower.ts';
import { goneRecord, LEAF, NO_TABLE, recordOf, tableDifference, ULTRAPEER, wholeTable } from './links.ts';
import { tableOf } from './tables.ts';

const EDGE = 'edge-0';
const EPOCH = 77;

/** A follower with a clock to turn, and what it did. */
class World {
  now = 10_000;
  readonly asked: string[] = [];
  /** State numbers of the batches processed and of those dropped. */
  readonly processed: number[] = [];
  readonly late: number[] = [];
  readonly goneEdges: EdgeLinks[] = [];
  readonly links = new LinkTable({ onGone: () => undefined });
  readonly follower = new StateFollower({
    links: this.links,
    now: () => this.now,
    askReplay: (edgeId) => this.asked.push(edgeId),
    process: (batch) => this.processed.push(batch.stateNumber),
    onLate: (batch) => this.late.push(batch.stateNumber),
    onEdgeGone: (edge) => this.goneEdges.push(edge),
  });

  /** Records `first`, `first` + 1, … of the live stream. */
  live(first: number, ...records: LinkRecord[]): void {
    this.state({ firstNumber: first, records });
  }

  begin(number: number): void {
    this.state({ firstNumber: number, replay: ReplayMark.REPLAY_MARK_BEGIN });
  }

  part(...records: LinkRecord[]): void {
    this.state({ records, replay: ReplayMark.REPLAY_MARK_PART });
  }

  end(number: number, alive: number[]): void {
    const liveLinks = packed(Uint32Array.from(alive));
    this.state({ firstNumber: number, liveLinks, replay: ReplayMark.REPLAY_MARK_END });
  }

  state(facts: Partial<StateBatch>): void {
    this.follower.state(StateBatch.create({ edgeId: EDGE, epoch: EPOCH, ...facts }));
  }

  summary(stateNumber: number, epoch = EPOCH, edgeId = EDGE): void {
    this.follower.summary(EdgeSummary.create({ edgeId, epoch, stateNumber }));
  }

  frames(stateNumber: number, edgeEpoch = EPOCH, edgeId = EDGE): undefined | Promise<void> {
    return this.follower.ingress(IngressBatch.create({ edgeId, edgeEpoch, stateNumber }));
  }

  /** Turns the clock in small steps, as a timer would. */
  pass(ms: number, cutOff = false): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now = Math.min(end, this.now + 50);
      this.follower.tick(cutOff);
    }
  }

  numbers(epoch = EPOCH, edgeId = EDGE): number[] | undefined {
    const edge = this.follower.find(edgeId, epoch);
    return edge === undefined ? undefined : [...edge.links.keys()].sort((a, b) => a - b);
  }
}

/** A world in which links 1 and 2 are known up to record 2. */
function settledWorld(): World {
  const world = new World();
  world.live(1, recordOf(1), recordOf(2, { kind: ULTRAPEER }));
  assert.ok(world.follower.settled);
  assert.deepEqual(world.asked, []);
  return world;
}

describe('StateFollower', () => {
  it('router: records in order are applied, from the first one on without a replay', () => {
    const world = settledWorld();
    world.live(3, goneRecord(1), recordOf(3));
    world.live(5, recordOf(4));
    assert.deepEqual(world.numbers(), [2, 3, 4]);
    assert.deepEqual(world.asked, []);
    assert.equal(world.links.ultrapeers.length, 1);
  });

  it('router: records told again are not applied again', () => {
    const world = settledWorld();
    world.live(3, goneRecord(2));
    world.live(2, recordOf(2), goneRecord(2), recordOf(5));
    assert.deepEqual(world.numbers(), [1, 5]);
    world.live(1, recordOf(1, { hopsFlow: 0 }));
    assert.equal(world.follower.find(EDGE, EPOCH)?.links.get(1)?.hopsFlow, 255);
    assert.deepEqual([world.asked, world.follower.settled], [[], true]);
    world.live(6, recordOf(6));
    assert.deepEqual(world.asked, [EDGE], 'they do not count twice: record 5 is missing');
  });

  it('router: a shard that starts late asks for a replay, and knows every link when it ends', () => {
    const world = new World();
    world.live(41, recordOf(9));
    assert.deepEqual(world.asked, [EDGE]);
    assert.deepEqual([world.numbers(), world.follower.settled], [[], false]);
    world.begin(41);
    world.part(recordOf(1, { table: wholeTable(tableOf(['alpha'])) }), recordOf(2, { kind: ULTRAPEER }));
    world.part(recordOf(9));
    world.end(41, [1, 2, 9]);
    assert.ok(world.follower.settled);
    world.live(42, goneRecord(9));
    assert.deepEqual(world.numbers(), [1, 2]);
    assert.equal(world.links.leavesWithTable, 1);
  });

  it('router: a heartbeat alone makes an edge known and asks for its links', () => {
    const world = new World();
    world.summary(0);
    assert.deepEqual(world.asked, [EDGE]);
    world.begin(0);
    world.end(0, []);
    assert.ok(world.follower.settled);
    world.live(1, recordOf(1));
    assert.deepEqual(world.numbers(), [1]);
  });

  it('router: a gap in the records asks for a replay, which removes the links it does not name', () => {
    const world = settledWorld();
    world.live(4, recordOf(4));
    assert.deepEqual(world.asked, [EDGE]);
    assert.deepEqual(world.numbers(), [1, 2], 'what was known goes on serving');
    assert.equal(world.follower.settled, false);
    world.live(5, recordOf(5));
    world.begin(5);
    world.part(recordOf(2, { kind: ULTRAPEER }), recordOf(4), recordOf(5));
    world.end(5, [2, 4, 5]);
    assert.deepEqual([world.numbers(), world.follower.settled], [[2, 4, 5], true]);
  });

  it('router: the live links that a replay names in several messages count together', () => {
    const world = settledWorld();
    world.live(4, recordOf(4));
    world.begin(4);
    world.part(recordOf(2), recordOf(3), recordOf(4));
    world.state({ liveLinks: packed(Uint32Array.of(2, 3)), replay: ReplayMark.REPLAY_MARK_PART });
    world.end(4, [4]);
    assert.deepEqual([world.numbers(), world.follower.settled], [[2, 3, 4], true], 'link 1 was not named');
    world.live(6, recordOf(6));
    world.begin(6);
    world.end(6, [2]);
    assert.deepEqual(world.numbers(), [2], 'what an earlier replay named is forgotten');
  });

  it('router: a heartbeat that is ahead of the records asks for a replay, one that is not does not', () => {
    const world = settledWorld();
    world.summary(2);
    assert.deepEqual(world.asked, []);
    world.summary(3);
    assert.deepEqual(world.asked, [EDGE]);
    assert.equal(world.follower.settled, false);
  });

  it('router: live records between the parts of a replay are applied in their order', () => {
    const world = new World();
    world.summary(10);
    world.begin(10);
    const table = tableOf(['alpha', 'beta']);
    const slots = [...table.slots()];
    world.part(recordOf(1, { table: wholeTable(table) }));
    // Of a link that was replayed already: a difference, and its end.
    world.live(11, recordOf(1, { table: tableDifference(16, [7], slots.slice(0, 1)) }));
    world.part(recordOf(2), recordOf(3));
    world.live(12, goneRecord(2), recordOf(6, { kind: ULTRAPEER }));
    // Of one that is still to come: its facts will include the difference.
    world.live(14, recordOf(5, { table: tableDifference(16, [7]) }));
    assert.deepEqual(world.numbers(), [1, 3, 6]);
    world.part(recordOf(5, { table: wholeTable(tableOf(['gamma'])) }));
    world.end(14, [1, 3, 5, 6]);
    const links = world.follower.find(EDGE, EPOCH)?.links;
    assert.deepEqual(world.numbers(), [1, 3, 5, 6]);
    assert.deepEqual(
      [...(links?.get(1)?.table?.slots() ?? [])],
      [7, ...slots.slice(1)].sort((a, b) => a - b),
    );
    assert.ok(links?.get(5)?.table?.equals(tableOf(['gamma'])));
    assert.ok(world.follower.settled);
    world.live(15, goneRecord(6));
    assert.deepEqual(world.numbers(), [1, 3, 5]);
  });

  it('router: a replay takes away tables that went in the gap', () => {
    const world = new World();
    world.live(1, recordOf(1, { table: wholeTable(tableOf(['alpha'])) }), recordOf(2, { kind: ULTRAPEER }));
    world.live(4, recordOf(9));
    world.begin(4);
    world.part(recordOf(1), recordOf(2, { kind: ULTRAPEER }), recordOf(9));
    world.end(4, [1, 2, 9]);
    assert.equal(world.follower.find(EDGE, EPOCH)?.links.get(1)?.table, undefined);
    assert.deepEqual([world.links.leavesWithTable, world.links.merged.count], [0, 0]);
  });

  it('router: a table that comes in parts survives a replay', () => {
    const world = new World();
    world.summary(3);
    world.begin(3);
    const slots = [...tableOf(['alpha', 'beta', 'gamma']).slots()];
    world.part(recordOf(1, { table: { ...tableDifference(16, slots.slice(0, 1)), reset: true } }));
    world.part(recordOf(1, { table: tableDifference(16, slots.slice(1)) }));
    world.end(3, [1]);
    assert.deepEqual([...(world.follower.find(EDGE, EPOCH)?.links.get(1)?.table?.slots() ?? [])], slots);
  });

  it('router: a gap within a replay makes it void, and another one is asked for', () => {
    const world = new World();
    world.summary(10);
    world.begin(10);
    world.part(recordOf(1));
    world.live(12, recordOf(3));
    world.end(12, [1, 2, 3]);
    assert.equal(world.follower.settled, false);
    world.now += REPLAY_ASK_MS;
    world.summary(12);
    assert.deepEqual(world.asked, [EDGE, EDGE]);
    world.begin(12);
    world.part(recordOf(1), recordOf(2), recordOf(3));
    world.end(12, [1, 2, 3]);
    assert.deepEqual([world.numbers(), world.follower.settled], [[1, 2, 3], true]);
  });

  it('router: a replay whose end names a later record than was seen does not settle the edge', () => {
    const world = new World();
    world.summary(10);
    world.now += REPLAY_ASK_MS;
    world.begin(10);
    world.part(recordOf(1));
    world.end(11, [1]);
    assert.equal(world.follower.settled, false);
    assert.equal(world.asked.length, 2);
  });

  it('router: a replay that another shard asked for does not touch what is in order', () => {
    const world = settledWorld();
    world.begin(2);
    world.part(recordOf(1), recordOf(2, { kind: ULTRAPEER }));
    world.live(3, recordOf(3));
    world.end(3, []);
    assert.deepEqual(world.numbers(), [1, 2, 3]);
    world.live(4, goneRecord(1));
    assert.deepEqual([world.numbers(), world.asked], [[2, 3], []]);
  });

  it('router: the parts and the end of a replay whose begin was lost change nothing', () => {
    const world = settledWorld();
    world.live(9, recordOf(9));
    world.part(goneRecord(1), recordOf(8));
    world.end(9, []);
    assert.deepEqual([world.numbers(), world.follower.settled], [[1, 2], false]);
  });

  it('router: replays of one edge are asked for at most twice a second', () => {
    const world = new World();
    for (let i = 0; i < 100; i++) {
      world.summary(5);
      world.now += 10;
    }
    assert.equal(world.asked.length, 1_000 / REPLAY_ASK_MS);
  });

  it('router: an edge that starts again loses its old links at once and is followed from its first record', () => {
    const world = settledWorld();
    world.state({ epoch: 78, firstNumber: 1, records: [recordOf(1), recordOf(5)] });
    assert.deepEqual([world.numbers(), world.numbers(78)], [undefined, [1, 5]]);
    assert.equal(world.links.size, 2);
    assert.deepEqual(
      world.goneEdges.map(({ epoch }) => epoch),
      [EPOCH],
    );
    assert.deepEqual([world.asked, world.follower.settled], [[], true]);
  });

  it('router: what is still under way from before an edge started again changes nothing', () => {
    const world = settledWorld();
    world.state({ epoch: 78, firstNumber: 1, records: [recordOf(1), recordOf(5)] });
    world.live(3, goneRecord(1));
    world.summary(4);
    assert.equal(world.frames(2), undefined);
    assert.deepEqual(world.numbers(78), [1, 5]);
    assert.deepEqual([world.goneEdges.length, world.late, world.processed], [1, [2], []]);
  });

  it('router: frames whose state is there are processed at once', () => {
    const world = settledWorld();
    assert.equal(world.frames(2), undefined);
    assert.equal(world.frames(1), undefined);
    assert.deepEqual(world.processed, [2, 1]);
  });

  it('router: frames ahead of their state wait for it, and all behind them with them, in order', async () => {
    const world = settledWorld();
    const held = [world.frames(3), world.frames(2), world.frames(4)];
    assert.deepEqual(world.processed, []);
    world.live(3, recordOf(3));
    assert.deepEqual(world.processed, [3, 2]);
    world.live(4, recordOf(4));
    assert.deepEqual(world.processed, [3, 2, 4]);
    for (const each of held) await each;
    assert.equal(world.frames(4), undefined);
    assert.deepEqual(world.late, []);
  });

  it('router: frames of an edge not known yet wait for its replay', async () => {
    const world = new World();
    const held = world.frames(6);
    assert.deepEqual(world.asked, [EDGE]);
    world.pass(HOLD_MS - 50);
    world.begin(6);
    world.part(recordOf(1));
    assert.deepEqual(world.processed, []);
    world.end(6, [1]);
    await held;
    assert.deepEqual([world.processed, world.late], [[6], []]);
  });

  it('router: frames whose state does not come within 200 ms are dropped, and a replay is asked for', async () => {
    const world = settledWorld();
    const first = world.frames(3);
    world.pass(HOLD_MS - 50);
    const second = world.frames(3);
    assert.deepEqual(world.late, []);
    world.pass(50);
    await first;
    assert.deepEqual([world.late, world.asked, world.follower.settled], [[3], [EDGE], false]);
    world.begin(3);
    world.part(recordOf(1), recordOf(2, { kind: ULTRAPEER }), recordOf(3));
    world.end(3, [1, 2, 3]);
    await second;
    assert.deepEqual([world.processed, world.late], [[3], [3]]);
  });

  it('router: a replay that takes longer than frames may wait is not given up for them', () => {
    const world = new World();
    world.summary(2);
    world.begin(2);
    void world.frames(2);
    world.part(recordOf(1));
    world.pass(HOLD_MS + 100);
    assert.deepEqual(world.late, [2]);
    world.part(recordOf(2));
    world.end(2, [1, 2]);
    assert.deepEqual([world.numbers(), world.follower.settled, world.asked], [[1, 2], true, [EDGE]]);
  });

  it('router: a bounded number of batches waits, further ones are dropped', () => {
    const world = settledWorld();
    for (let i = 0; i < MAX_HELD_BATCHES + 3; i++) void world.frames(3);
    assert.equal(world.late.length, 3);
    world.live(3, recordOf(3));
    assert.equal(world.processed.length, MAX_HELD_BATCHES);
  });

  it('router: an edge that misses three heartbeats loses its links, and the frames that wait', async () => {
    const world = settledWorld();
    world.pass(EDGE_LOST_MS - 100);
    const held = world.frames(9);
    assert.deepEqual(world.goneEdges, []);
    world.pass(150);
    await held;
    assert.deepEqual(
      world.goneEdges.map(({ edgeId }) => edgeId),
      [EDGE],
    );
    assert.deepEqual([world.links.size, world.late, world.numbers()], [0, [9], undefined]);
    // The same edge may come back in the same epoch.
    world.summary(2);
    world.begin(2);
    world.part(recordOf(1));
    world.end(2, [1]);
    assert.deepEqual(world.numbers(), [1]);
  });

  it('router: heartbeats and records keep an edge alive', () => {
    const world = settledWorld();
    for (let number = 3; number < 13; number++) {
      world.pass(EDGE_LOST_MS - 500);
      if (number % 2 === 0) world.live(3 + (number - 4) / 2, recordOf(1));
      else world.summary(2);
    }
    assert.deepEqual(world.goneEdges, []);
  });

  it('router: nobody is silent while the shard itself is cut off or stood still', () => {
    const world = settledWorld();
    world.pass(10 * EDGE_LOST_MS, true);
    world.pass(EDGE_LOST_MS - 50);
    assert.deepEqual(world.numbers(), [1, 2]);
    world.now += 10 * EDGE_LOST_MS;
    world.follower.forgiveSilence();
    world.follower.tick(false);
    assert.deepEqual(world.numbers(), [1, 2]);
    world.pass(EDGE_LOST_MS + 50);
    assert.equal(world.numbers(), undefined);
  });

  it('router: edges are followed each for itself, and no more than a bounded number of them', () => {
    const world = new World();
    for (let i = 0; i < MAX_EDGES + 2; i++) {
      const state = StateBatch.create({ edgeId: `edge-${i}`, epoch: 1, firstNumber: 1, records: [recordOf(1)] });
      world.follower.state(state);
    }
    assert.equal([...world.follower.edges].length, MAX_EDGES);
    assert.equal(world.links.size, MAX_EDGES);
    assert.equal(world.numbers(1, `edge-${MAX_EDGES}`), undefined);
    assert.equal(world.frames(1, 1, `edge-${MAX_EDGES}`), undefined);
    assert.deepEqual(world.late, [1]);
  });

  it('router: a record that says that a table is gone is no upsert of another kind', () => {
    const world = settledWorld();
    world.live(3, recordOf(1, { table: wholeTable(tableOf(['alpha'])) }), recordOf(1, { table: NO_TABLE }));
    const link = world.follower.find(EDGE, EPOCH)?.links.get(1);
    assert.deepEqual([link?.kind, link?.table], [LEAF, undefined]);
  });
});
