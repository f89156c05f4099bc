import assert from 'node:assert/strict';
import { EDGE_LOST_MS, EdgeSummaries, EdgeSummary, MAX_EDGES } from '@filbert/contracts';

describe('contracts edge summaries', () => {
  let now: number;
  let edges: EdgeSummaries;

  beforeEach(() => {
    now = 10_000;
    edges = new EdgeSummaries(() => now);
  });

  const note = (i: number, address = ''): void =>
    edges.note(EdgeSummary.fromPartial({ edgeId: `edge-${i}`, ultrapeerAddresses: [address] }));

  it('are the last of each edge, until it falls silent', () => {
    note(1, '5.6.7.8:6346');
    note(1, '5.6.7.9:6346');
    assert.equal(edges.holdsUltrapeer('5.6.7.8:6346'), false);
    assert.equal(edges.holdsUltrapeer('5.6.7.9:6346'), true);
    now += EDGE_LOST_MS;
    assert.equal([...edges.alive()].length, 1);
    now += 1;
    assert.equal([...edges.alive()].length, 0);
  });

  it('are of a bounded number of edges: further ones are ignored and counted until others fall silent', () => {
    for (let i = 0; i < MAX_EDGES + 5; i++) note(i);
    assert.deepEqual([[...edges.alive()].length, edges.ignored], [MAX_EDGES, 5]);
    now += 1_000;
    note(0);
    assert.equal(edges.ignored, 5, 'a known one is heard');
    now += EDGE_LOST_MS - 500;
    note(MAX_EDGES + 1);
    assert.deepEqual([...edges.alive()].map(({ edgeId }) => edgeId).sort(), ['edge-0', `edge-${MAX_EDGES + 1}`]);
  });
});
