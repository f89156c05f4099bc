import assert from 'node:assert/strict';
import {
  collectBusCounters,
  collectProcessMetrics,
  createMetrics,
  Durations,
  MetricsError,
  namesUpTo,
} from '@filbert/kit';

const withCode = (code: string) => (error: unknown) => error instanceof MetricsError && error.code === code;

describe('kit metrics', () => {
  it('reads counters and gauges from plain numbers at each scrape', async () => {
    const metrics = createMetrics({ service: 'router', strict: true });
    let frames = 3;
    metrics.counterFrom('frames_total', 'Frames.', () => frames);
    metrics.gaugeFrom('links', 'Links.', () => -frames);
    assert.match(await metrics.registry.metrics(), /^filbert_router_frames_total 3$/m);
    frames = 5;
    const text = await metrics.registry.metrics();
    assert.match(text, /^filbert_router_frames_total 5$/m);
    assert.match(text, /^filbert_router_links -5$/m);
    assert.match(text, /^# TYPE filbert_router_frames_total counter$/m);
  });

  it('reads labelled values, and forgets a series that is no longer reported', async () => {
    const metrics = createMetrics({ service: 'router', strict: true });
    let samples: { labels: { reason: 'duplicate' | 'ttl'; kind: 'leaf' | 'ultrapeer' }; value: number }[] = [
      { labels: { reason: 'duplicate', kind: 'leaf' }, value: 1 },
      { labels: { reason: 'ttl', kind: 'ultrapeer' }, value: 2 },
    ];
    const labels = { reason: ['duplicate', 'ttl'], kind: ['leaf', 'ultrapeer'] } as const;
    metrics.counterFrom('drops_total', 'Drops.', labels, () => samples);
    assert.match(await metrics.registry.metrics(), /drops_total\{reason="ttl",kind="ultrapeer"\} 2/);
    samples = samples.slice(0, 1);
    const text = await metrics.registry.metrics();
    assert.match(text, /drops_total\{reason="duplicate",kind="leaf"\} 1/);
    assert.doesNotMatch(text, /reason="ttl"/);
  });

  it('reads durations from plain numbers at each scrape, as text and as JSON', async () => {
    const metrics = createMetrics({ service: 'edge', strict: true });
    const plain = new Durations();
    const ways = { in: new Durations(), out: new Durations() };
    metrics.durationsFrom('handshake_seconds', 'Handshakes.', () => plain);
    metrics.durationsFrom('turn_seconds', 'Turns.', { way: ['in', 'out'] }, () => [
      { labels: { way: 'in' }, durations: ways.in },
      { labels: { way: 'out' }, durations: ways.out },
    ]);
    const value = async (name: string, labels = ''): Promise<number> => {
      const text = await metrics.registry.metrics();
      const line = text.split('\n').find((one) => one.startsWith(`filbert_edge_${name}${labels} `));
      return Number(line?.split(' ').at(-1));
    };
    assert.equal(await value('handshake_seconds_count'), 0);
    assert.equal(await value('handshake_seconds_bucket', '{le="10"}'), 0);
    for (const seconds of [0.0001, 0.0003, 0.04, 11, -5, Number.NaN]) plain.observe(seconds);
    ways.out.observe(1.5);
    assert.equal(await value('handshake_seconds_bucket', '{le="0.0001"}'), 2, 'the bound itself, and what is negative');
    assert.equal(await value('handshake_seconds_bucket', '{le="0.0005"}'), 3);
    assert.equal(await value('handshake_seconds_bucket', '{le="0.025"}'), 3);
    assert.equal(await value('handshake_seconds_bucket', '{le="10"}'), 4);
    assert.equal(await value('handshake_seconds_bucket', '{le="+Inf"}'), 5);
    assert.equal(await value('handshake_seconds_count'), 5);
    assert.ok(Math.abs((await value('handshake_seconds_sum')) - 11.0404) < 1e-9);
    assert.equal(await value('turn_seconds_bucket', '{le="2.5",way="out"}'), 1);
    assert.equal(await value('turn_seconds_count', '{way="in"}'), 0);
    const json = await metrics.registry.getMetricsAsJSON();
    const turns = json.find(({ name }) => name === 'filbert_edge_turn_seconds');
    assert.equal(turns?.type, 'histogram');
    assert.ok(turns.values.some(({ labels, value: count }) => labels['way'] === 'out' && count === 1.5));
  });

  it('strict: throws on an undeclared label value, a missing label and an unusable number', async () => {
    const sampled = async (sample: { labels: Record<string, string>; value: number }): Promise<string> => {
      const metrics = createMetrics({ service: 'edge', strict: true });
      metrics.counterFrom('drops_total', 'Drops.', { reason: ['a'] as readonly string[] }, () => [
        // What the type system would refuse is what has to be caught here.
        sample as { labels: { reason: string }; value: number },
      ]);
      return await metrics.registry.metrics();
    };
    assert.match(await sampled({ labels: { reason: 'a' }, value: 1 }), /drops_total\{reason="a"\} 1/);
    await assert.rejects(sampled({ labels: { reason: 'b' }, value: 1 }), withCode('bad-sample'));
    await assert.rejects(sampled({ labels: {}, value: 1 }), withCode('bad-sample'));
    await assert.rejects(sampled({ labels: { reason: 'a', more: 'x' }, value: 1 }), withCode('bad-sample'));
    await assert.rejects(sampled({ labels: { reason: 'a' }, value: -1 }), withCode('bad-sample'));
    await assert.rejects(sampled({ labels: { reason: 'a' }, value: NaN }), withCode('bad-sample'));
    const durations = new Durations();
    const badly = createMetrics({ service: 'edge', strict: true });
    badly.durationsFrom('x_seconds', 'X.', { way: ['in'] as readonly string[] }, () => [
      { labels: { way: 'b' }, durations },
    ]);
    await assert.rejects(badly.registry.metrics(), withCode('bad-sample'));
  });

  it('otherwise leaves bad samples out, counts them, and answers the scrape', async () => {
    const metrics = createMetrics({ service: 'edge' });
    metrics.gaugeFrom('links', 'Links.', { kind: namesUpTo(2) }, () =>
      ['a', 'b', 'c', 'with space'].map((kind) => ({ labels: { kind }, value: 1 })),
    );
    await metrics.registry.metrics();
    const text = await metrics.registry.metrics();
    assert.deepEqual(text.match(/links\{kind="[^"]*"\}/g), ['links{kind="a"}', 'links{kind="b"}']);
    assert.match(text, /^filbert_edge_refused_samples_total 2$/m);
  });

  it('refuses names that are not of the scheme', () => {
    const metrics = createMetrics({ service: 'edge', strict: true });
    const read = (): number => 0;
    for (const name of ['frames', 'Frames_total', 'frames__total', 'latency_ms_total_', ''])
      assert.throws(() => metrics.counterFrom(name, '', read), withCode('bad-name'), name);
    for (const name of ['links_total', 'uptime_ms', 'fill_percent'])
      assert.throws(() => metrics.gaugeFrom(name, '', read), withCode('bad-name'), name);
    for (const name of ['latency', 'latency_ms', 'latency_total', 'latency_bytes'])
      assert.throws(() => metrics.durationsFrom(name, '', () => new Durations()), withCode('bad-name'), name);
    assert.throws(() => createMetrics({ service: 'search-index' }), withCode('bad-name'));
  });

  it('refuses labels that could have a value per peer, query or file, and too many combinations', () => {
    const metrics = createMetrics({ service: 'edge', strict: true });
    const many = Array.from({ length: 30 }, (_, index) => `v${index}`);
    for (const labels of [
      { address: ['a'] },
      { guid: namesUpTo(5) },
      { process: ['a'] },
      { Reason: ['a'] },
      { reason: [] },
      { reason: ['192.0.2.1:6346'] },
      { one: many, two: many },
    ] as Record<string, string[]>[])
      assert.throws(() => metrics.gaugeFrom('x', '', labels, () => []), withCode('bad-label'), JSON.stringify(labels));
  });

  it('collects process metrics once, however often it is asked', async () => {
    const { registry } = createMetrics({ service: 'edge' });
    collectProcessMetrics(registry);
    collectProcessMetrics(registry);
    const text = await registry.metrics();
    for (const name of ['nodejs_eventloop_lag_p99_seconds', 'nodejs_heap_size_used_bytes', 'process_cpu_seconds_total'])
      assert.equal(text.match(new RegExp(`^# TYPE ${name} `, 'gm'))?.length, 1, name);
  });

  it('shares one registry between services, and reads bus counters from any iterable', async () => {
    const router = createMetrics({ service: 'router', strict: true });
    const edge = createMetrics({ service: 'edge', registry: router.registry, strict: true });
    edge.gaugeFrom('links', 'Links.', () => 1);
    const durations = new Durations();
    durations.observe(0.002);
    collectBusCounters(router, {
      *counters() {
        yield { topic: 'router.ingress', event: 'sent', value: 4 };
        yield { topic: 'router.ingress', event: 'no-credit', value: 1 };
      },
      *outstanding() {
        yield { topic: 'router.ingress', bytes: 5 };
      },
      *requestDurations() {
        yield { topic: 'node.facts.get', durations };
      },
    });
    const text = await router.registry.metrics();
    assert.match(text, /^filbert_edge_links 1$/m);
    assert.match(text, /^filbert_router_bus_events_total\{topic="router.ingress",event="no-credit"\} 1$/m);
    assert.match(text, /^filbert_router_bus_outstanding_bytes\{topic="router.ingress"\} 5$/m);
    assert.match(text, /^filbert_router_bus_request_seconds_bucket\{le="0.0025",topic="node.facts.get"\} 1$/m);
  });
});
