import assert from 'node:assert/strict';
import { LinkCapability, MAX_LINKS_PER_ADDRESS, MAX_LINKS_PER_NETWORK, type LinkRecord } from '@filbert/contracts';
import { LinkTable, type Link } from '../../services/router/src/link-table.ts';
import {
  KICK_AFTER_MS,
  MAX_KICKS,
  NeighbourLimits,
  type KickReason,
} from '../../services/router/src/neighbour-limits.ts';
import { applied, edgeOf, recordOf } from './links.ts';

const PROVEN = { capabilities: LinkCapability.handshakeGuid, serventGuid: Buffer.alloc(16, 7) };

describe('NeighbourLimits', () => {
  const edges = [edgeOf('edge-0', 1), edgeOf('edge-1', 2)] as const;
  let now: number;
  let kicked: [Link, KickReason][];
  let links: LinkTable;
  let limits: NeighbourLimits;
  let next: number;

  beforeEach(() => {
    [now, next, kicked] = [1_000_000, 1, []];
    for (const edge of edges) edge.links.clear();
    limits = new NeighbourLimits({
      ownerOf: (link) => links.ownerOf(link),
      kick: (link, reason) => kicked.push([link, reason]),
      now: () => now,
    });
    links = new LinkTable({ onGone: (link) => limits.gone(link), onTold: (link) => limits.told(link) });
  });

  const join = (facts: Partial<LinkRecord>, edge: 0 | 1 = 0): Link =>
    applied(links, edges[edge], recordOf(next++, facts));

  function pass(ms: number): void {
    now += ms;
    limits.tick();
  }

  it('router: the link that came second with a GUID is ended, after the time in which a dead edge is noticed', () => {
    const first = join(PROVEN);
    const second = join(PROVEN, 1);
    pass(KICK_AFTER_MS - 1);
    assert.deepEqual(kicked, []);
    pass(1);
    assert.deepEqual(kicked, [[second, 'guid']]);
    assert.ok(first.alive);
    pass(KICK_AFTER_MS);
    assert.equal(kicked.length, 2, 'asked again while it is still there');
    links.remove(second);
    pass(KICK_AFTER_MS);
    assert.deepEqual([kicked.length, limits.kicks.guid], [2, 2]);
  });

  it('router: what is told again of a link does not make it answer for those that came after it', () => {
    const old = join({ remoteHost: '5.6.7.5' });
    join({ remoteHost: '5.6.7.9' });
    join({ remoteHost: '5.6.7.9' });
    const third = join({ remoteHost: '5.6.7.9' }, 1);
    now += 2_000;
    links.apply(edges[0], recordOf(old.number, { remoteHost: '5.6.7.5', hopsFlow: 3 }));
    now += 2_000;
    const fourth = join({ remoteHost: '5.6.7.9' }, 1);
    for (let i = 0; i < 3 * KICK_AFTER_MS; i += 1_000) pass(1_000);
    const ended = new Set(kicked.map(([link]) => link));
    assert.deepEqual(ended, new Set([third, fourth]));
    assert.ok(old.alive);
  });

  it('router: a neighbour that came back by another edge keeps its link when the old one is dropped', () => {
    join(PROVEN);
    const again = join(PROVEN, 1);
    now += KICK_AFTER_MS - 500;
    links.removeEdge(edges[0]);
    pass(KICK_AFTER_MS);
    assert.deepEqual(kicked, []);
    assert.equal(links.ownerOf(again), again);
  });

  it('router: a GUID that was only claimed for a push proxy ends nobody’s link, nor its own', () => {
    const claimed = { serventGuid: PROVEN.serventGuid };
    join(claimed);
    join(PROVEN, 1);
    join(claimed, 1);
    pass(KICK_AFTER_MS);
    assert.deepEqual(kicked, []);
  });

  it('router: links of one address and of one network beyond the limits are ended over all edges, the newest first', () => {
    const of = (host: string, edge: 0 | 1): Link => join({ remoteHost: host }, edge);
    of('5.6.7.8', 0);
    of('5.6.7.8', 1);
    const third = of('5.6.7.8', 1);
    pass(KICK_AFTER_MS);
    assert.deepEqual(kicked, [[third, 'address']]);
    assert.equal(MAX_LINKS_PER_ADDRESS, 2);
    links.remove(third);
    of('5.6.7.9', 0);
    assert.equal(MAX_LINKS_PER_NETWORK, 3);
    const fourth = of('5.6.7.10', 1);
    pass(KICK_AFTER_MS);
    assert.deepEqual(kicked.slice(1), [[fourth, 'network']]);
  });

  it('router: no more are ended than there are too many, and none when others left meanwhile', () => {
    const all = Array.from({ length: 5 }, (_, i) => join({ remoteHost: '5.6.7.8' }, i % 2 === 0 ? 0 : 1));
    links.remove(all[0] as Link);
    pass(KICK_AFTER_MS);
    assert.deepEqual(
      kicked.map(([link]) => link),
      [all[4], all[3]],
    );
    const three = Array.from({ length: 3 }, () => join({ remoteHost: '9.9.9.9' }));
    links.remove(three[1] as Link);
    pass(KICK_AFTER_MS);
    assert.equal(kicked.filter(([link]) => three.includes(link)).length, 0);
  });

  it('router: exempt addresses have no limit, and only so many links are ended at one time', () => {
    for (let i = 0; i < 50; i++) join({ remoteHost: '' });
    pass(KICK_AFTER_MS);
    assert.deepEqual(kicked, []);
    for (let i = 0; i < 100; i++) join({ remoteHost: '5.6.7.8' });
    pass(KICK_AFTER_MS);
    assert.equal(kicked.length, MAX_KICKS);
    pass(1_000);
    assert.equal(kicked.length, 98);
  });
});
