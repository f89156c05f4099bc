import assert from 'node:assert/strict';
import {
  allEdgeStates,
  EDGE_ID_PATTERN,
  edgeControl,
  edgeEgress,
  edgesPoll,
  edgesSummary,
  edgeState,
  EdgeSummary,
  emptyLinkRecord,
  hostsCandidates,
  hostsSeen,
  LinkKind,
  mergedTable,
  mergedTableRequest,
  nodeFacts,
  nodeFactsRequest,
  ReplayMark,
  routerIngress,
  routerLearn,
  UNLIMITED_HOPS_FLOW,
  type StateBatch,
} from '@filbert/contracts';

describe('subjects', () => {
  it('contracts: subjects are those of the design', () => {
    assert.equal(routerIngress(3).subject, 'fb.v1.router.3.ingress');
    assert.equal(edgeEgress('edge-0').subject, 'fb.v1.edge.edge-0.egress');
    assert.equal(edgeState('edge-0').subject, 'fb.v1.edge.edge-0.state');
    assert.equal(routerLearn(0).subject, 'fb.v1.router.0.learn');
    assert.equal(edgeControl('edge-0').subject, 'fb.v1.edge.edge-0.control');
    assert.equal(edgesSummary.subject, 'fb.v1.edges.summary');
    assert.equal(nodeFacts.subject, 'fb.v1.node.facts');
    assert.equal(hostsSeen.subject, 'fb.v1.hosts.seen');
  });

  it('contracts: no two topics share a subject, and names carry no ids', () => {
    const topics = [
      routerIngress(0),
      routerLearn(0),
      edgeEgress('a'),
      edgeState('a'),
      edgeControl('a'),
      edgesSummary,
      edgesPoll,
      nodeFacts,
      nodeFactsRequest,
      hostsSeen,
      hostsCandidates,
      mergedTable,
      mergedTableRequest,
    ];
    assert.equal(new Set(topics.map(({ subject }) => subject)).size, topics.length);
    assert.equal(new Set(topics.map(({ name }) => name)).size, topics.length);
    assert.equal(edgeState('one').name, edgeState('two').name);
  });

  it('contracts: frames travel on the data plane, state and control apart from them', () => {
    assert.equal(routerIngress(0).plane, 'data');
    assert.equal(edgeEgress('a').plane, 'data');
    for (const topic of [edgeState('a'), allEdgeStates, edgesSummary, edgesPoll, nodeFacts, mergedTable, hostsSeen]) {
      assert.equal(topic.plane, 'control', topic.name);
    }
  });

  it('contracts: every edge id that is allowed is one token, which the wildcard of all states covers', () => {
    const pattern = new RegExp(`^${allEdgeStates.subject.replaceAll('.', '\\.').replace('*', '[^.]+')}$`);
    for (const id of ['a', '0', 'edge-0', 'connections-12', 'a'.repeat(63)]) {
      assert.match(id, EDGE_ID_PATTERN);
      assert.match(edgeState(id).subject, pattern);
    }
    for (const id of ['', '-a', 'a.b', 'A', 'a*', '>', 'a b', 'a'.repeat(64), 'ä', 'a\n']) {
      assert.doesNotMatch(id, EDGE_ID_PATTERN);
    }
  });

  it('contracts: codecs bring back what was encoded', () => {
    const record = { ...emptyLinkRecord(4_000_000_000), kind: LinkKind.LINK_KIND_LEAF, address: '[2001:db8::1]:6346' };
    const table = {
      bits: 17,
      reset: true,
      setSlots: Buffer.of(1, 0, 0, 0),
      clearedSlots: Buffer.alloc(0),
      bitmap: Buffer.alloc(0),
    };
    const batch: StateBatch = {
      edgeId: 'edge-0',
      epoch: 0xffffffff,
      firstNumber: 12,
      records: [record, { ...record, hopsFlow: 0, table }],
      replay: ReplayMark.REPLAY_MARK_PART,
      liveLinks: Buffer.alloc(0),
    };
    const { codec } = edgeState('edge-0');
    const decoded = codec.decode(codec.encode(batch));
    assert.equal(decoded.epoch, 0xffffffff);
    assert.equal(decoded.replay, ReplayMark.REPLAY_MARK_PART);
    assert.deepEqual(
      decoded.records.map(({ link, hopsFlow, address }) => [link, hopsFlow, address]),
      [
        [4_000_000_000, UNLIMITED_HOPS_FLOW, '[2001:db8::1]:6346'],
        [4_000_000_000, 0, '[2001:db8::1]:6346'],
      ],
    );
    // "No change of the table" and "an empty change" are not the same.
    assert.equal(decoded.records[0]?.table, undefined);
    assert.deepEqual(decoded.records[1]?.table?.setSlots, new Uint8Array([1, 0, 0, 0]));
    const summary = EdgeSummary.create({ edgeId: 'edge-0', stateNumber: 7, draining: true });
    assert.deepEqual(edgesSummary.codec.decode(edgesSummary.codec.encode(summary)), summary);
  });

  it('contracts: bytes that are no message are refused', () => {
    assert.throws(() => routerIngress(0).codec.decode(Buffer.from([0x42, 0xff])));
  });
});
