import assert from 'node:assert/strict';
import { connectNatsKeyValue, type KeyValueStore, type KvBucket, type KvBucketOptions } from '@filbert/kit';
import { connect } from 'nats';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { waitFor } from '../../support/wait-for.ts';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
const bytes = (value: string): Uint8Array => Buffer.from(value);

let server: NatsServer;
let store: KeyValueStore;
let buckets = 0;

function bucketOptions(options: Partial<KvBucketOptions> = {}): KvBucketOptions {
  return { name: `test-${++buckets}`, maxValueBytes: 1000, maxBytes: 1024 * 1024, ...options };
}

describe('kit: key-value buckets over NATS', () => {
  let bucket: KvBucket;
  let options: KvBucketOptions;

  before(async () => {
    server = await startNatsServer({ jetStream: true });
    store = await connectNatsKeyValue({ servers: server.url, name: 'test' });
  });

  after(async () => {
    await store.close();
    await server.stop();
  });

  beforeEach(async () => {
    options = bucketOptions();
    bucket = await store.openBucket(options);
  });

  it('creates a record once', async () => {
    const revision = await bucket.create('a.b', bytes('one'));
    await assert.rejects(bucket.create('a.b', bytes('two')), { code: 'conflict' });
    assert.deepEqual({ ...(await bucket.get('a.b')), value: '' }, { key: 'a.b', revision, value: '' });
    assert.equal(text((await bucket.get('a.b'))?.value), 'one');
    assert.equal(await bucket.get('a.c'), undefined);
  });

  it('lets exactly one of many create a record', async () => {
    const attempts = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => bucket.create('x', bytes(`${i}`))));
    const winners = attempts.flatMap((attempt, i) => (attempt.status === 'fulfilled' ? [i] : []));
    assert.equal(winners.length, 1);
    assert.equal(text((await bucket.get('x'))?.value), String(winners[0]));
  });

  it('replaces the revision that is named and no other', async () => {
    const first = await bucket.create('a', bytes('1'));
    const second = await bucket.update('a', bytes('2'), first);
    assert.ok(second > first);
    await assert.rejects(bucket.update('a', bytes('3'), first), { code: 'conflict' });
    await assert.rejects(bucket.update('b', bytes('3'), first), { code: 'conflict' });
    assert.equal(text((await bucket.get('a'))?.value), '2');
  });

  it('removes the revision that is named, and lets the record be created again', async () => {
    const first = await bucket.create('a', bytes('1'));
    await assert.rejects(bucket.delete('a', first + 1), { code: 'conflict' });
    await bucket.delete('a', first);
    assert.equal(await bucket.get('a'), undefined);
    assert.deepEqual(await bucket.list(), []);
    await assert.rejects(bucket.update('a', bytes('2'), first), { code: 'conflict' });
    await assert.rejects(bucket.delete('a', first), { code: 'conflict' });
    assert.ok((await bucket.create('a', bytes('3'))) > first);
  });

  it('leaves nothing of removed records on the server', async () => {
    for (let i = 0; i < 20; i++) await bucket.delete(`k${i}`, await bucket.create(`k${i}`, bytes('x')));
    const raw = await connect({ servers: server.url });
    const { state } = await (await raw.jetstreamManager()).streams.info(`KV_${options.name}`);
    await raw.close();
    assert.equal(state.messages, 0);
  });

  it('creates over the mark that an unfinished removal left behind', async () => {
    const raw = await connect({ servers: server.url });
    const other = await raw.jetstream().views.kv(options.name, { allow_direct: false });
    await other.put('a', bytes('1'));
    await other.delete('a');
    assert.equal(await bucket.get('a'), undefined);
    await bucket.create('a', bytes('2'));
    assert.equal(text((await other.get('a'))?.value), '2');
    await raw.close();
  });

  it('lists all records, or those of a first token', async () => {
    for (let i = 0; i < 100; i++) await bucket.create(`many.${i}`, bytes(`${i}`));
    await bucket.create('other', bytes('o'));
    const many = await bucket.list('many');
    assert.deepEqual(
      many.map(({ value }) => Number(text(value))).sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.equal((await bucket.list()).length, 101);
    assert.deepEqual(await bucket.list('nothing'), []);
  });

  it('refuses values that are too long and what does not fit any more', async () => {
    const small = await store.openBucket(bucketOptions({ maxBytes: 4096 }));
    await assert.rejects(small.create('a', new Uint8Array(1001)), { code: 'too-large' });
    await assert.rejects(
      async () => {
        for (let i = 0; i < 10; i++) await small.create(`a${i}`, new Uint8Array(1000));
      },
      { code: 'full' },
    );
    await assert.rejects(store.openBucket(bucketOptions({ maxValueBytes: 2 ** 20 })), RangeError);
  });

  it('forgets what was not written for its age', async () => {
    const leases = await store.openBucket(bucketOptions({ maxAgeMs: 500 }));
    const first = await leases.create('a', bytes('1'));
    const started = performance.now();
    let last = await leases.create('b', bytes('1'));
    await waitFor('the end of a', async () => {
      last = await leases.update('b', bytes('1'), last);
      return (await leases.get('a')) === undefined;
    });
    assert.ok(performance.now() - started > 400);
    assert.equal((await leases.get('b'))?.revision, last);
    await assert.rejects(leases.update('a', bytes('2'), first), { code: 'conflict' });
    await leases.create('a', bytes('3'));
  });

  it('opens a bucket that others opened', async () => {
    const again = await store.openBucket(options);
    await bucket.create('a', bytes('1'));
    assert.equal(text((await again.get('a'))?.value), '1');
    assert.equal(again.incarnation, bucket.incarnation);
  });
});

describe('kit: key-value buckets while NATS is away', () => {
  let own: NatsServer;
  let mine: KeyValueStore;

  beforeEach(async () => {
    own = await startNatsServer({ jetStream: true });
    mine = await connectNatsKeyValue({ servers: own.url, name: 'test', reconnectWaitMs: 10, reconnectJitterMs: 0 });
  });

  afterEach(async () => {
    await mine.close();
    await own.stop();
  });

  it('fails at once, says so, and has everything again after a server was killed', async () => {
    const bucket = await mine.openBucket(bucketOptions());
    const { incarnation } = bucket;
    const statuses: string[] = [];
    mine.onStatus((status) => statuses.push(status));
    const revision = await bucket.create('a', bytes('1'));
    await own.kill();
    await waitFor('the loss', () => mine.status === 'disconnected');
    const before = performance.now();
    await assert.rejects(bucket.get('a'), { code: 'unavailable' });
    await assert.rejects(bucket.update('a', bytes('2'), revision), { code: 'unavailable' });
    assert.ok(performance.now() - before < 500);
    await own.restart();
    await waitFor('the connection', () => mine.status === 'connected');
    const entry = await waitFor('the record', () => bucket.get('a').catch(() => undefined));
    assert.deepEqual([text(entry.value), entry.revision, bucket.incarnation], ['1', revision, incarnation]);
    await bucket.update('a', bytes('3'), revision);
    assert.deepEqual(statuses, ['disconnected', 'connected']);
  });

  it('makes a bucket anew that the server has lost', async () => {
    const options = bucketOptions();
    const bucket = await mine.openBucket(options);
    const { incarnation } = bucket;
    const revision = await bucket.create('a', bytes('1'));
    const raw = await connect({ servers: own.url });
    await (await raw.jetstreamManager()).streams.delete(`KV_${options.name}`);
    await raw.close();
    await assert.rejects(bucket.get('a'), { code: 'unavailable' }, 'the first call finds out');
    assert.equal(await bucket.get('a'), undefined);
    assert.notEqual(bucket.incarnation, incarnation);
    await assert.rejects(bucket.update('a', bytes('2'), revision), { code: 'conflict' });
    await bucket.create('a', bytes('2'));
  });

  it('gives up a call that is not answered', async () => {
    const bucket = await mine.openBucket(bucketOptions());
    own.pause();
    await assert.rejects(bucket.create('a', bytes('1')), { code: 'unavailable' });
    own.resume();
  });

  it('waits for JetStream and says what it waits for', async () => {
    const without = await startNatsServer();
    const other = await connectNatsKeyValue({ servers: without.url, name: 'test' });
    const stop = new AbortController();
    const reasons: string[] = [];
    const opening = other.openBucket(bucketOptions(), {
      signal: stop.signal,
      onWaiting: ({ kind }) => reasons.push(kind),
    });
    await waitFor('the reason', () => reasons.length > 0);
    stop.abort();
    await assert.rejects(opening, { code: 'closed' });
    assert.deepEqual(reasons, ['no-jetstream']);
    await other.close();
    await without.stop();
  });
});
