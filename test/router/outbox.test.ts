import assert from 'node:assert/strict';
import { forEachVerdict, type EgressBatch } from '@filbert/contracts';
import { ShardCounters } from '../../services/router/src/counters.ts';
import { Link } from '../../services/router/src/link-table.ts';
import { Outbox } from '../../services/router/src/outbox.ts';
import { edgeOf } from './links.ts';

describe('Outbox', () => {
  it('router: verdicts on very many links leave in several batches, each far below what a message may hold', () => {
    const batches: EgressBatch[] = [];
    const outbox = new Outbox({
      shard: 0,
      counters: new ShardCounters(),
      open: () => ({
        pressure: () => 0,
        send: (batch) => {
          batches.push(batch);
          return 'sent';
        },
        close: () => undefined,
      }),
    });
    const edge = edgeOf('edge-0', 1);
    const links = 70_000;
    for (let number = 1; number <= links; number++) {
      const link = new Link(number, number, edge);
      link.useful = 1;
      outbox.verdict(link);
    }
    outbox.flush();
    assert.ok(batches.every(({ verdicts }) => verdicts.length <= 65 * 1024));
    let told = 0;
    for (const batch of batches) forEachVerdict(batch, (_link, _duplicates, _bad, useful) => (told += useful));
    assert.equal(told, links);
  });
});
