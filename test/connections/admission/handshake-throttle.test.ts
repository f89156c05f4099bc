import assert from 'node:assert/strict';
import {
  HandshakeThrottle,
  MAX_ADDRESSES,
  MAX_HANDSHAKES_PER_WINDOW,
} from '../../../services/connections/src/admission/handshake-throttle.ts';
import { FakeClock } from '../../support/fake-clock.ts';

describe('connections handshake throttle', () => {
  let clock: FakeClock;
  let throttle: HandshakeThrottle;

  beforeEach(() => {
    clock = new FakeClock();
    throttle = new HandshakeThrottle(() => clock.monotonic());
  });

  /** Begins as many handshakes as are welcome, and the one too many. */
  function provoke(ip: string): string {
    for (let i = 0; i < MAX_HANDSHAKES_PER_WINDOW; i++) assert.equal(throttle.begin(ip).kind, 'welcome');
    const verdict = throttle.begin(ip);
    assert.equal(verdict.kind, 'told');
    return verdict.kind === 'told' ? verdict.reason : '';
  }

  it('welcomes two handshakes a minute from one address and bans the third for 300 s, saying so', () => {
    assert.equal(provoke('1.2.3.4'), 'Banned for 300 s');
    assert.equal(throttle.begin('1.2.3.5').kind, 'welcome', 'another address is not affected');
  });

  it('counts anew when the minute is over', () => {
    throttle.begin('1.2.3.4');
    throttle.begin('1.2.3.4');
    clock.advance(59_999);
    const early = new HandshakeThrottle(() => clock.monotonic());
    assert.equal(early.begin('1.2.3.4').kind, 'welcome');
    clock.advance(1);
    assert.equal(throttle.begin('1.2.3.4').kind, 'welcome');
    assert.equal(throttle.begin('1.2.3.4').kind, 'welcome');
    assert.equal(throttle.begin('1.2.3.4').kind, 'told');
  });

  it('says nothing to most attempts of a banned address and reminds it every 15th with the time left', () => {
    provoke('1.2.3.4');
    clock.advance(100_000);
    const kinds = Array.from({ length: 30 }, () => throttle.begin('1.2.3.4'));
    assert.deepEqual(
      kinds.flatMap((verdict, i) => (verdict.kind === 'silent' ? [] : [`${i + 1} ${verdict.kind}`])),
      ['15 told', '30 told'],
    );
    assert.deepEqual(kinds[14], { kind: 'told', reason: 'Banned for 200 s' });
  });

  it('ends the ban when its time is over, and doubles the next up to an hour', () => {
    const seconds: string[] = [];
    for (let i = 0; i < 6; i++) {
      const reason = provoke('1.2.3.4');
      seconds.push(reason);
      clock.advance(Number(/\d+/.exec(reason)?.[0]) * 1000 - 1);
      assert.equal(throttle.begin('1.2.3.4').kind, 'silent');
      clock.advance(1);
    }
    assert.deepEqual(
      seconds.map((reason) => Number(/\d+/.exec(reason)?.[0])),
      [300, 600, 1200, 2400, 3600, 3600],
    );
  });

  it('remembers a bounded number of addresses and forgets those not seen for longest', () => {
    provoke('1.2.3.4');
    for (let i = 0; i < MAX_ADDRESSES; i++) {
      throttle.begin(`10.${i >> 16}.${(i >> 8) & 0xff}.${i & 0xff}`);
      // A visitor that keeps coming is not the one to forget.
      if (i % 1000 === 0) throttle.begin('1.2.3.4');
    }
    assert.equal(throttle.size, MAX_ADDRESSES);
    assert.notEqual(throttle.begin('1.2.3.4').kind, 'welcome');
    assert.equal(throttle.begin('10.0.0.0').kind, 'welcome');
    assert.equal(throttle.begin('10.0.0.0').kind, 'welcome', 'its first visit was forgotten');
  });
});
