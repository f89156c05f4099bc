import assert from 'node:assert/strict';
import { CrawlerThrottle } from '../../../services/connections/src/admission/crawler-throttle.ts';
import { FakeClock } from '../../support/fake-clock.ts';

describe('connections crawler throttle', () => {
  it('lets one address crawl once in 300 s, and a refused attempt does not put the next off', () => {
    const clock = new FakeClock();
    const throttle = new CrawlerThrottle(() => clock.monotonic());
    assert.equal(throttle.mayCrawl('1.2.3.4'), true);
    clock.advance(299_999);
    assert.equal(throttle.mayCrawl('1.2.3.4'), false);
    assert.equal(throttle.mayCrawl('1.2.3.5'), true);
    clock.advance(1);
    assert.equal(throttle.mayCrawl('1.2.3.4'), true);
  });
});
