import assert from 'node:assert/strict';
import {
  Durations,
  collectProcessMetrics,
  createMetrics,
  mergeProcessMetrics,
  type MetricsJson,
  parseMetricsJson,
} from '@filbert/kit';

/** Metrics of a registry after a trip through JSON, as another process would get them. */
async function overJson(registry: { getMetricsAsJSON(): Promise<unknown> }): Promise<MetricsJson> {
  const parsed = parseMetricsJson(JSON.parse(JSON.stringify(await registry.getMetricsAsJSON())));
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem);
  return parsed.value;
}

describe('kit metrics of several processes', () => {
  it('adds a label process to each value and describes each metric once', async () => {
    const list = [];
    for (const process of ['edge-1', 'edge-2']) {
      const metrics = createMetrics({ service: 'edge', strict: true });
      metrics.gaugeFrom('links', 'Links.', { kind: ['leaf'] }, () => [
        { labels: { kind: 'leaf' }, value: process.length + list.length },
      ]);
      const turns = new Durations();
      turns.observe(0.5);
      metrics.durationsFrom('turn_seconds', 'Turns.', () => turns);
      list.push({ process, json: await overJson(metrics.registry) });
    }
    const text = mergeProcessMetrics(list);
    assert.equal(text.match(/^# TYPE filbert_edge_links gauge$/gm)?.length, 1);
    assert.match(text, /^filbert_edge_links\{kind="leaf",process="edge-1"\} 6$/m);
    assert.match(text, /^filbert_edge_links\{kind="leaf",process="edge-2"\} 7$/m);
    assert.match(text, /^filbert_edge_turn_seconds_bucket\{le="\+Inf",process="edge-2"\} 1$/m);
    assert.match(text, /^filbert_edge_turn_seconds_sum\{process="edge-1"\} 0.5$/m);
  });

  it('merges the default process metrics, also values that JSON cannot hold', async () => {
    const { registry } = createMetrics({ service: 'edge' });
    collectProcessMetrics(registry);
    const text = mergeProcessMetrics([{ process: 'a', json: await overJson(registry) }]);
    assert.match(text, /^nodejs_eventloop_lag_mean_seconds\{process="a"\} (NaN|[0-9.e-]+)$/m);
    const nothing = parseMetricsJson([{ name: 'x', help: '', type: 'gauge', values: [{ value: null, labels: {} }] }]);
    assert.ok(nothing.ok);
    assert.match(mergeProcessMetrics([{ process: 'a', json: nothing.value }]), /^x\{process="a"\} NaN$/m);
  });

  it('escapes label values and help', () => {
    const json: MetricsJson = [
      { name: 'x', help: 'a\\b\nc', type: 'gauge', values: [{ value: 1, labels: { l: 'q"\\\n' } }] },
    ];
    assert.equal(
      mergeProcessMetrics([{ process: 'p', json }]),
      '# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{l="q\\"\\\\\\n",process="p"} 1\n',
    );
  });

  it('keeps the first type where processes disagree', () => {
    const of = (type: 'gauge' | 'counter'): MetricsJson => [
      { name: 'x', help: '', type, values: [{ value: 1, labels: {} }] },
    ];
    const text = mergeProcessMetrics([
      { process: 'a', json: of('gauge') },
      { process: 'b', json: of('counter') },
    ]);
    assert.match(text, /TYPE x gauge\nx\{process="a"\} 1\n$/);
  });

  it('refuses what is not metrics, such as names that would break the text', () => {
    const values = [{ value: 1, labels: {} }];
    for (const bad of [
      {},
      [{ name: 'x' }],
      [{ name: 'x y', help: '', type: 'gauge', values }],
      [{ name: 'x', help: '', type: 'other', values }],
      [{ name: 'x', help: '', type: 'gauge', values: [{ value: 'many', labels: {} }] }],
      [{ name: 'x', help: '', type: 'gauge', values: [{ value: 1, labels: { 'a"': '' } }] }],
    ])
      assert.equal(parseMetricsJson(bad).ok, false, JSON.stringify(bad));
  });
});
