import assert from 'node:assert/strict';
import { z } from 'zod';
import { rendered, workloads, type Manifest } from './support/manifests.ts';

const selector = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z
    .array(z.strictObject({ key: z.string(), operator: z.literal('In'), values: z.array(z.string()) }))
    .optional(),
});
const peer = z.strictObject({
  podSelector: selector.optional(),
  namespaceSelector: selector.optional(),
  ipBlock: z.strictObject({ cidr: z.string() }).optional(),
});
const ports = z.array(z.strictObject({ protocol: z.string(), port: z.number() })).optional();
const policySchema = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  spec: z.strictObject({
    podSelector: selector,
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
    ingress: z.array(z.strictObject({ from: z.array(peer).optional(), ports })).optional(),
    egress: z.array(z.strictObject({ to: z.array(peer).optional(), ports })).optional(),
  }),
});
type Selector = z.infer<typeof selector>;

const objects = rendered('k8s/overlays/single-node');
const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy').map((object) => policySchema.parse(object));

/** The labels of each kind of pod, of the node and around it. */
const PODS = new Map<string, Record<string, string>>([
  ...workloads(objects).map(({ metadata, spec }) => [metadata.name, spec.template.metadata.labels] as const),
  ['prometheus', { 'app.kubernetes.io/name': 'prometheus' }],
  ['client', { 'filbert.control': 'true' }],
  ['collector', { 'app.kubernetes.io/name': 'opentelemetry-collector' }],
  ['stranger', { app: 'stranger' }],
]);

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, pod: string): boolean {
  const labels = PODS.get(pod) ?? assert.fail(`no pod ${pod}`);
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
  );
}

/** Whether the policies let one pod of the namespace open a connection to a port of another. */
function allowed(from: string, to: string, port: number): boolean {
  const through = (pod: string, other: string, direction: 'ingress' | 'egress'): boolean => {
    const bound = policies.filter(({ spec }) => selects(spec.podSelector, pod));
    const rules =
      direction === 'ingress'
        ? bound.flatMap(({ spec }) => spec.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports }))
        : bound.flatMap(({ spec }) => spec.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports }));
    return rules.some(
      ({ peers, ports: open }) =>
        (open === undefined || open.some((entry) => entry.port === port && entry.protocol === 'TCP')) &&
        (peers === undefined ||
          peers.some(({ podSelector, ipBlock }) =>
            podSelector === undefined ? ipBlock?.cidr === '0.0.0.0/0' : selects(podSelector, other),
          )),
    );
  };
  return through(to, from, 'ingress') && through(from, to, 'egress');
}

/** Pods that the policies do not bind, being elsewhere: only the receiving side counts. */
function reachable(from: string, to: string, port: number): boolean {
  return withUnbound(from, () => allowed(from, to, port));
}

/** The same, where it is the pod called that is elsewhere. */
function reaches(from: string, to: string, port: number): boolean {
  return withUnbound(to, () => allowed(from, to, port));
}

function withUnbound(pod: string, ask: () => boolean): boolean {
  const free = { kind: 'NetworkPolicy', apiVersion: '', metadata: { name: 'free' } } satisfies Manifest;
  policies.push({
    ...free,
    spec: {
      podSelector: { matchLabels: PODS.get(pod) ?? {} },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{}],
      egress: [{}],
    },
  });
  try {
    return ask();
  } finally {
    policies.pop();
  }
}

describe('k8s: network policies', () => {
  const services = ['bootstrap', 'router', 'connections', 'search-index', 'transfers'];

  it('deny everything that is not allowed, in and out', () => {
    const all = policies.find(({ metadata }) => metadata.name === 'deny-all');
    assert.deepEqual(all?.spec, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
  });

  it('let every service reach the bus, and nobody else', () => {
    for (const service of services) assert.ok(allowed(service, 'nats', 4222), service);
    for (const other of ['prometheus', 'client', 'stranger']) assert.ok(!reachable(other, 'nats', 4222), other);
  });

  it('let anybody reach the Gnutella port, and hand-over only what hands over', () => {
    assert.ok(reachable('stranger', 'connections', 6346));
    assert.ok(allowed('connections', 'transfers', 6348));
    assert.ok(allowed('transfers', 'transfers', 6348));
    for (const other of ['stranger', 'client', 'prometheus']) assert.ok(!reachable(other, 'transfers', 6348), other);
  });

  it('let Prometheus scrape and labelled clients control, and no stranger either', () => {
    for (const service of services) {
      assert.ok(reachable('prometheus', service, 9346), service);
      for (const client of ['client', 'bootstrap']) assert.ok(allowed(client, service, 9347), `${client}, ${service}`);
      assert.ok(!reachable('stranger', service, 9346), service);
      assert.ok(!reachable('stranger', service, 9347), service);
      assert.ok(!reachable('prometheus', service, 9347), service);
      for (const other of services) {
        if (other !== 'bootstrap') assert.ok(!allowed(other, service, 9347), `${other}, ${service}`);
      }
    }
    assert.ok(!allowed('client', 'nats', 4222));
    assert.ok(!allowed('client', 'connections', 9346));
  });

  it('let every service send traces to a collector, and to nobody else', () => {
    for (const service of services) assert.ok(reaches(service, 'collector', 4318), service);
    assert.ok(!reaches('nats', 'collector', 4318));
    for (const service of ['bootstrap', 'router', 'search-index']) {
      assert.ok(!reaches(service, 'stranger', 4318), service);
      assert.ok(!reaches(service, 'collector', 443), service);
    }
  });

  it('let only connections and transfers dial out', () => {
    const dialling = policies
      .filter(({ spec }) => spec.egress?.some(({ to }) => to?.some(({ ipBlock }) => ipBlock !== undefined)))
      .map(({ metadata, spec }) => [metadata.name, spec.podSelector.matchLabels?.['app.kubernetes.io/component']]);
    assert.deepEqual(dialling.sort(), [
      ['peers', 'connections'],
      ['transfers', 'transfers'],
    ]);
  });
});
