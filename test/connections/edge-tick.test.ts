import assert from 'node:assert/strict';
import type { LinkRecord } from '@filbert/contracts';
import { RESET_GRACE_MS } from '../../services/connections/src/frames/qrp.ts';
import { LEAF_SILENCE_MS } from '../../services/connections/src/keep-alive.ts';
import { FACTS_BURST, FACTS_INTERVAL_MS } from '../../services/connections/src/link/link-reporter.ts';
import { EdgeHarness } from '../support/edge-harness.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { resetPayload } from '../support/raw-table.ts';
import { RAW_DESCRIPTOR } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';

describe('connections edge, once a second', () => {
  let clock: FakeClock;
  let harness: EdgeHarness;

  beforeEach(async () => {
    clock = new FakeClock();
    harness = await EdgeHarness.start({ now: () => clock.monotonic() });
  });
  afterEach(() => harness.stop());

  function records(): LinkRecord[] {
    return harness.state.flatMap((batch) => batch.records);
  }

  it('takes a table back to which nothing followed for a minute after a RESET', async () => {
    const { peer, link } = await harness.join();
    peer.sendTable({ bits: 12, words: ['filbert'] });
    await waitFor('the table', () => records().some(({ table }) => (table?.bits ?? 0) > 0));
    peer.sendQrp(resetPayload(2 ** 12, 2));
    await waitFor('the RESET', () => link.resetAt !== undefined);
    clock.advance(RESET_GRACE_MS);
    await waitFor('the record without a table', () => records().some(({ table }) => table?.bits === 0));
  });

  it('pings a peer that was silent for long', async () => {
    const { peer } = await harness.join();
    clock.advance(LEAF_SILENCE_MS);
    await peer.next(({ descriptor, ttl }) => descriptor === RAW_DESCRIPTOR.ping && ttl === 1);
  });

  it('tells facts that changed too often to be told at once', async () => {
    const { peer, link } = await harness.join();
    for (let i = 0; i < FACTS_BURST; i++) peer.sendHopsFlow(i % 2);
    peer.sendHopsFlow(3);
    await waitFor('the last change', () => link.hopsFlow === 3);
    await waitFor('what may be told', () => records().length === 1 + FACTS_BURST);
    assert.equal(records().at(-1)?.hopsFlow, (FACTS_BURST - 1) % 2);
    clock.advance(FACTS_INTERVAL_MS);
    await waitFor('the last change to be told', () => records().at(-1)?.hopsFlow === 3);
  });
});
