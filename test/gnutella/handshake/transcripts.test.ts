// Whole handshakes: the vectors hs_*, and blocks as other programs write them, at every split point.

import assert from 'node:assert/strict';
import type { Decision, HandshakeOutcome, LocalHandshake } from '@filbert/gnutella';
import { InitiatingHandshake } from '@filbert/gnutella';
import * as peers from './peers.ts';
import {
  LEAF,
  ULTRAPEER,
  acceptAll,
  accepting,
  bytes,
  connected,
  failed,
  feed,
  handshakeVectors,
  initiating,
  readBlock,
  refused,
} from './support.ts';

const vectors = handshakeVectors();

function blocksOf(name: string, from: 'A' | 'B'): string[] {
  const vector = vectors.get(name);
  assert.ok(vector, `no vector ${name}`);
  return vector.expected.filter((one) => one.from === from).map((one) => one.text);
}

/** Feeds the acceptor what A sends; `data` is what follows block 3. */
function acceptsFrom(name: string, data = '', options: Parameters<typeof accepting>[0] = {}) {
  const fromA = blocksOf(name, 'A');
  return feed(accepting(options), [...fromA.slice(0, -1), `${fromA[fromA.length - 1] ?? ''}${data}`].map(bytes));
}

function initiatesTo(name: string, local: LocalHandshake = ULTRAPEER) {
  return feed(initiating({ local }), blocksOf(name, 'B').map(bytes));
}

describe('handshake: vectors', () => {
  const expectations: Record<string, () => void> = {
    hs_leaf_up_accepted() {
      const asB = connected(acceptsFrom('hs_leaf_up_accepted').outcome);
      assert.deepEqual([asB.peer.role, asB.inflateIn, asB.deflateOut], ['leaf', true, true]);
      assert.equal(asB.peer.listenAddress, '203.0.113.7:6346');
      const { sent, outcome } = initiatesTo('hs_leaf_up_accepted', LEAF);
      assert.equal(sent, blocksOf('hs_leaf_up_accepted', 'A')[1]);
      const asA = connected(outcome);
      assert.deepEqual([asA.peer.role, asA.inflateIn, asA.deflateOut, asA.peer.degree], ['ultrapeer', true, true, 46]);
    },
    hs_up_up() {
      const local = { ...ULTRAPEER, offerDeflate: false };
      const asB = connected(acceptsFrom('hs_up_up', '', { local }).outcome);
      assert.deepEqual([asB.peer.role, asB.inflateIn, asB.deflateOut], ['ultrapeer', true, false]);
      const { sent, outcome } = initiatesTo('hs_up_up');
      assert.equal(sent, blocksOf('hs_up_up', 'A')[1]);
      const asA = connected(outcome);
      assert.deepEqual([asA.peer.role, asA.inflateIn, asA.deflateOut], ['ultrapeer', false, true]);
    },
    hs_refused_503() {
      const { sent, outcome } = initiatesTo('hs_refused_503', LEAF);
      assert.equal(sent, '');
      assert.deepEqual(refused(outcome).tryUltrapeers, [
        '198.51.100.1:6346',
        '198.51.100.2:53217',
        '[2001:db8::5]:6346',
      ]);
      const tryUltrapeers = refused(outcome).tryUltrapeers;
      const decide = (): Decision => ({
        accept: false,
        code: 503,
        reason: 'Too many leaf connections (300 max)',
        tryUltrapeers,
      });
      const local = { ...ULTRAPEER, userAgent: 'Example/1.0' };
      const ours = acceptsFrom('hs_refused_503', '', { local, decide, remoteIp: '203.0.113.7' });
      assert.equal(ours.sent, blocksOf('hs_refused_503', 'B')[0]);
    },
    hs_guided_to_leaf() {
      const decide = (): Decision => ({ accept: true, ultrapeerNeeded: false });
      const asB = connected(acceptsFrom('hs_guided_to_leaf', '', { decide }).outcome);
      assert.equal(asB.peer.role, 'leaf');
      // The other way round we stay an ultrapeer.
      const { sent, outcome } = initiatesTo('hs_guided_to_leaf');
      assert.doesNotMatch(sent, /X-Ultrapeer/);
      assert.equal(connected(outcome).peer.ultrapeerNeeded, false);
    },
    hs_crawler() {
      const peersList = ['198.51.100.1:6346', '198.51.100.2:53217'];
      const decideCrawler = () => ({ accept: true as const, peers: peersList, leaves: ['198.51.100.77:6346'] });
      const { sent, outcome } = acceptsFrom('hs_crawler', '', { decideCrawler });
      assert.equal(outcome?.kind, 'crawler');
      const theirs = readBlock(bytes(blocksOf('hs_crawler', 'B')[0] ?? ''));
      const ours = readBlock(bytes(sent));
      assert.equal(ours.startLine, theirs.startLine);
      for (const name of ['X-Ultrapeer', 'Peers', 'Leaves']) {
        assert.equal(ours.headers.get(name), theirs.headers.get(name));
      }
    },
    hs_tls_upgrade() {
      // We offer no upgrade: a block 3 that upgrades all the same, or a block 2 that does, ends the handshake.
      assert.equal(failed(acceptsFrom('hs_tls_upgrade').outcome).reason, 'unoffered-upgrade');
      const { sent, outcome } = initiatesTo('hs_tls_upgrade');
      assert.match(sent, /^GNUTELLA\/0\.6 409 Conflict\r\n/);
      assert.equal(refused(outcome).by, 'us');
    },
    hs_no_offer_deflate() {
      const { sent, outcome } = initiatesTo('hs_no_offer_deflate', { ...LEAF, acceptDeflate: false });
      assert.equal(sent, '');
      assert.equal(failed(outcome).reason, 'unoffered-deflate');
    },
    hs_g2_only() {
      const local = { ...ULTRAPEER, userAgent: 'Example/1.0' };
      const { sent } = acceptsFrom('hs_g2_only', '', { local, remoteIp: '203.0.113.7' });
      assert.equal(sent, blocksOf('hs_g2_only', 'B')[0]);
    },
    hs_04() {
      const { sent, outcome } = acceptsFrom('hs_04');
      assert.equal(sent, blocksOf('hs_04', 'B')[0]);
      assert.equal(failed(outcome).reason, 'old-protocol');
    },
  };

  it('are all known here', () => {
    assert.deepEqual([...vectors.keys()].sort(), Object.keys(expectations).sort());
  });

  for (const [name, check] of Object.entries(expectations)) it(`${name} is met`, check);
});

describe('handshake: transcripts at every split point', () => {
  const PING = `${'\x01'.repeat(16)}\x00\x01\x00\x00\x00\x00\x00`;

  /** What is to be the same however the bytes were cut. */
  function digest(outcome: HandshakeOutcome | undefined, sent: string): unknown {
    if (outcome?.kind !== 'connected' && outcome?.kind !== 'crawler') return { outcome, sent };
    return { ...outcome, rest: undefined, sent };
  }

  /** Cuts each of the peer's blocks at every point in turn; what follows the last block is cut off by the outcome. */
  function everySplit(run: (chunks: Uint8Array[]) => unknown, blocks: readonly string[]): void {
    const whole = run(blocks.map(bytes));
    for (const [index, text] of blocks.entries()) {
      for (let cut = 1; cut < text.length; cut++) {
        const parts = [...blocks.slice(0, index), text.slice(0, cut), text.slice(cut), ...blocks.slice(index + 1)];
        assert.deepEqual(run(parts.map(bytes)), whole, `block ${index + 1} cut at ${cut}`);
      }
    }
    const single = blocks.flatMap((text) => [...bytes(text)].map((byte) => Uint8Array.of(byte)));
    assert.deepEqual(run(single), whole, 'byte by byte');
  }

  const toAcceptor = (chunks: Uint8Array[]): unknown => {
    const { sent, outcome } = feed(accepting(), chunks);
    return digest(outcome, sent);
  };
  const toInitiator = (chunks: Uint8Array[]): unknown => {
    const { sent, outcome } = feed(initiating(), chunks);
    return digest(outcome, sent);
  };

  for (const name of vectors.keys()) {
    it(`${name}, blocks of A`, () => everySplit(toAcceptor, blocksOf(name, 'A')));
    if (blocksOf(name, 'B').some((text) => text !== '')) {
      it(`${name}, blocks of B`, () => everySplit(toInitiator, blocksOf(name, 'B')));
    }
  }

  const dialogues = {
    'gtk-gnutella leaf': [peers.GTK_LEAF_HELLO, peers.FINAL_DEFLATE],
    'gtk-gnutella ultrapeer': [peers.GTK_UP_HELLO, peers.FINAL_DEFLATE],
    'LimeWire leaf': [peers.LIMEWIRE_LEAF_HELLO, peers.FINAL_DEFLATE],
    'LimeWire ultrapeer': [peers.LIMEWIRE_UP_HELLO, peers.FINAL_DEFLATE],
    'gnutella-bun-client ultrapeer': [peers.BUN_UP_HELLO, peers.FINAL_PLAIN],
  };
  for (const [name, blocks] of Object.entries(dialogues)) {
    it(`${name} dials us`, () => {
      everySplit(toAcceptor, blocks);
      const link = connected(feed(accepting(), blocks.map(bytes)).outcome);
      assert.equal(link.peer.role, name.endsWith('leaf') ? 'leaf' : 'ultrapeer');
      assert.equal(link.inflateIn, blocks[1] === peers.FINAL_DEFLATE);
      assert.equal(link.deflateOut, true);
    });
    it(`${name} dials us with LF for line ends`, () => {
      const lf = blocks.map((text) => text.replaceAll('\r\n', '\n'));
      everySplit(toAcceptor, lf);
      assert.deepEqual(toAcceptor(lf.map(bytes)), toAcceptor(blocks.map(bytes)));
    });
  }

  for (const [name, welcome] of Object.entries({
    'gtk-gnutella': peers.GTK_UP_WELCOME,
    LimeWire: peers.LIMEWIRE_UP_WELCOME,
    'gnutella-bun-client': peers.BUN_UP_WELCOME,
  })) {
    for (const local of [ULTRAPEER, LEAF]) {
      it(`we dial ${name} as ${local.role}`, () => {
        everySplit(toInitiator, [welcome]);
        const { sent, outcome } = feed(initiating({ local }), [bytes(welcome)]);
        assert.equal(sent, peers.FINAL_DEFLATE);
        const link = connected(outcome);
        assert.equal(link.inflateIn, welcome.includes('Content-Encoding: deflate'));
        assert.equal(link.peer.role, 'ultrapeer');
      });
    }
  }

  it('keeps every byte after block 3, cut anywhere', () => {
    const tail = peers.FINAL_DEFLATE + PING;
    for (let cut = 1; cut < tail.length; cut++) {
      const handshake = accepting();
      handshake.receive(bytes(peers.GTK_LEAF_HELLO));
      const first = handshake.receive(bytes(tail.slice(0, cut)));
      const isEarly = cut < peers.FINAL_DEFLATE.length;
      const step = isEarly ? handshake.receive(bytes(tail.slice(cut))) : first;
      const rest = Buffer.from(connected(step.outcome).rest).toString('latin1');
      assert.equal(isEarly ? rest : rest + tail.slice(cut), PING, `cut at ${cut}`);
    }
  });

  it('brings our own two sides together in both roles', () => {
    for (const local of [ULTRAPEER, LEAF]) {
      const a = new InitiatingHandshake({ local, remoteIp: '198.51.100.9', decide: acceptAll });
      const b = accepting();
      const block2 = b.receive(a.start());
      assert.ok(block2.send);
      const block3 = a.receive(block2.send);
      assert.ok(block3.send);
      const atA = connected(block3.outcome);
      const atB = connected(b.receive(block3.send).outcome);
      assert.deepEqual([atA.inflateIn, atA.deflateOut], [true, true]);
      assert.deepEqual([atB.inflateIn, atB.deflateOut], [true, true]);
      assert.deepEqual([atA.peer.role, atB.peer.role], ['ultrapeer', local.role]);
    }
  });
});
