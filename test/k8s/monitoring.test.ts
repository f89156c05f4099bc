import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { WITHOUT_PANEL } from '../../scripts/docs/dashboard/without-panel.ts';
import { ROOT, runTool } from './support/manifests.ts';

const FOLDER = 'k8s/monitoring/';
const read = (path: string): string => readFileSync(`${ROOT}${path}`, 'utf8');

const rulesSchema = z.object({
  groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string(), expr: z.string() })) })),
});
const testsSchema = z.object({
  tests: z.array(
    z.object({ alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) })) }),
  ),
});
const panelSchema = z.object({
  id: z.number(),
  type: z.enum(['row', 'timeseries']),
  title: z.string(),
  description: z.string().optional(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).default([]),
});
const dashboardSchema = z.object({
  panels: z.array(panelSchema),
  templating: z.object({ list: z.array(z.object({ name: z.string() })) }),
});

const rules = rulesSchema.parse(parse(read(`${FOLDER}filbert-alerts.yaml`))).groups.flatMap((group) => group.rules);
const { panels, templating } = dashboardSchema.parse(JSON.parse(read(`${FOLDER}filbert-dashboard.json`)));
/** Stands for a metric that each process has under a name of its own; the docs have the embedded node's. */
const OF_ANY_SERVICE = /\{__name__=~"filbert_\.\+_(\w+)"(?:, )?/g;
const expressions = [
  ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr] as const),
  ...panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => [`panel ${title}`, expr.replaceAll(OF_ANY_SERVICE, 'filbert_node_$1{')] as const),
  ),
];

/** What docs/metrics.md says of each metric: its kind and the values of its labels. */
const METRICS = new Map(
  Array.from(
    read('docs/metrics.md').matchAll(/^\| `([a-z0-9_]+)` +\| (\w+) +\|([^|]*)\|/gm),
    ([, name, kind, labels]) => [name ?? '', { kind: kind ?? '', labels: labels ?? '' }],
  ),
);

/** Each process of the node has these under its own name; panels and docs/metrics.md mean all of them by the node's. */
const OF_EACH_PROCESS = /^filbert_supervisor_(rpc_call_seconds)$/;

/** The metric of that name, or the histogram that has those buckets. */
function metricOf(name: string): { kind: string; labels: string } | undefined {
  return METRICS.get(name) ?? METRICS.get(name.replace(/_bucket$/, ''));
}

/** The metrics of an expression, each with its label matchers. */
function metricsIn(expr: string): { name: string; matchers: string }[] {
  return Array.from(
    expr.matchAll(/\b((?:filbert|nodejs|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g),
    ([, name = '', matchers = '']) => ({ name, matchers }),
  );
}

/** What Grafana would put in for its own variables; the dashboard's others stand in label matchers. */
const BUILT_IN: Readonly<Record<string, string>> = { __rate_interval: '5m', __interval: '1m', __range: '3h' };

/** An expression as Prometheus gets it; a variable that nobody declares stays. */
function filledIn(expr: string): string {
  return expr.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (whole, braced?: string, bare?: string) => {
    const name = braced ?? bare ?? '';
    return BUILT_IN[name] ?? (templating.list.some((variable) => variable.name === name) ? 'x' : whole);
  });
}

/** Has promtool read expressions of panels, as recording rules. @throws Error with what it said */
function checkExpressions(exprs: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'filbert-panels-'));
  try {
    const file = join(folder, 'panels.yaml');
    const asRules = exprs.map((expr, index) => ({ record: `panel:expression:${index}`, expr: filledIn(expr) }));
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules: asRules }] }));
    return runTool('promtool', ['check', 'rules', file]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('k8s: alerts and dashboard', () => {
  it('promtool takes the rules', () => {
    assert.match(runTool('promtool', ['check', 'rules', `${FOLDER}filbert-alerts.yaml`]), /SUCCESS/);
  });

  it('promtool finds each rule firing when it should and silent when it should not', () => {
    assert.match(runTool('promtool', ['test', 'rules', `${FOLDER}filbert-alerts.test.yaml`]), /SUCCESS/);
    const { tests } = testsSchema.parse(parse(read(`${FOLDER}filbert-alerts.test.yaml`)));
    const cases = tests.flatMap((test) => test.alert_rule_test);
    for (const { alert } of rules) {
      const own = cases.filter(({ alertname }) => alertname === alert);
      assert.ok(
        own.some(({ exp_alerts }) => exp_alerts.length > 0),
        `${alert} is never seen firing`,
      );
      assert.ok(
        own.some(({ exp_alerts }) => exp_alerts.length === 0),
        `${alert} is never seen silent`,
      );
    }
  });

  it('promtool takes the expression of every panel', () => {
    const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    assert.match(checkExpressions(exprs), new RegExp(`SUCCESS: ${exprs.length} rules`));
    for (const expr of exprs) assert.doesNotMatch(filledIn(expr), /\$/, 'a variable that the dashboard does not have');
  });

  it('promtool would find an expression that Prometheus does not take', () => {
    const good = 'sum by (le) (rate(filbert_router_ingress_age_seconds_bucket[$__rate_interval]))';
    assert.match(checkExpressions([good]), /SUCCESS/);
    const bad = [
      good.slice(0, -1),
      good.replace('(le)', '(le,, role)'),
      good.replace('[$__rate_interval]', ''),
      good.replace('$__rate_interval', '$window'),
      good.replace('rate(', 'rates('),
      `histogram_quantile(${good})`,
      good.replace('_bucket', '_bucket{role="leaf}'),
    ];
    for (const expr of bad) {
      assert.throws(() => checkExpressions([good, expr]), /"panel:expression:1"/, expr);
    }
  });

  it('every expression names metrics that exist, in the kind that it takes them for', () => {
    assert.ok(expressions.length > 40, `only ${expressions.length} expressions`);
    for (const [where, expr] of expressions) {
      const used = metricsIn(expr);
      assert.ok(used.length > 0, `${where} names no metric`);
      for (const { name } of used) {
        const metric = metricOf(name);
        assert.ok(metric, `${where} names ${name}, which docs/metrics.md does not have`);
        const rated = new RegExp(`(rate|increase)\\(${name}\\b`).test(expr);
        assert.equal(rated, metric.kind !== 'gauge', `${where}: ${name} is a ${metric.kind}`);
      }
    }
  });

  it('every label that an expression asks for has that value', () => {
    for (const [where, expr] of expressions) {
      for (const { name, matchers } of metricsIn(expr)) {
        for (const [, label = '', values = ''] of matchers.matchAll(/(\w+)=~?"([^"]*)"/g)) {
          const known =
            metricOf(name)
              ?.labels.split(';')
              .find((part) => part.includes(`\`${label}\``)) ?? '';
          const words = known
            .replace(/^[^:]*:/, '')
            .split(',')
            .map((word) => word.trim());
          for (const value of values.split('|'))
            assert.ok(words.includes(value), `${where}: ${name} ${label}=${value}`);
        }
      }
    }
  });

  it('every label that is grouped by is one of the metric, or of where it was scraped', () => {
    for (const [where, expr] of expressions) {
      for (const [, labels = '', rest = ''] of expr.matchAll(/by \(([^)]*)\) \((.*)/g)) {
        const [first] = metricsIn(rest);
        for (const label of labels.split(',').map((text) => text.trim())) {
          if (label === 'instance' || label === 'le') continue;
          assert.ok(metricOf(first?.name ?? '')?.labels.includes(`\`${label}\``), `${where}: ${label}`);
        }
      }
    }
  });

  it('panels have different ids, say what they tell, and do not overlap', () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const taken = new Set<string>();
    for (const { type, title, description, gridPos } of panels) {
      if (type === 'timeseries') assert.ok((description ?? '').length > 5, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(x < 24 && !taken.has(`${x},${y}`), `${title} overlaps`);
          taken.add(`${x},${y}`);
        }
      }
    }
  });

  it('every metric is on a panel, in an alert, or has a reason not to be', () => {
    const shown = new Set(expressions.flatMap(([, expr]) => metricsIn(expr).map(({ name }) => name)));
    const isShown = (metric: string): boolean => {
      const name = metric.replace(OF_EACH_PROCESS, 'filbert_node_$1');
      return shown.has(name) || shown.has(`${name}_bucket`);
    };
    assert.ok(METRICS.size > 150, `only ${METRICS.size} metrics`);
    const missing = [...METRICS.keys()].filter(
      (name) => !isShown(name) && !WITHOUT_PANEL.some(({ names }) => names.test(name)),
    );
    assert.deepEqual(missing, [], 'add a panel in scripts/docs/dashboard, or a reason in without-panel.ts');
    for (const { names, why } of WITHOUT_PANEL) {
      const meant = [...METRICS.keys()].filter((name) => names.test(name));
      assert.ok(meant.length > 0, `${names.source} names no metric`);
      assert.deepEqual(meant.filter(isShown), [], `${names.source} names metrics that are shown`);
      assert.ok(why.length > 10, names.source);
    }
  });

  it('the dashboard shows every service', () => {
    const text = JSON.stringify(panels);
    for (const service of ['connections', 'router', 'search_index', 'transfers', 'bootstrap']) {
      assert.ok(text.includes(`filbert_${service}_`), service);
    }
  });
});
