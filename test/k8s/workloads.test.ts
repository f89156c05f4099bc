import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { compose, environmentOf, rendered, ROOT, workloads } from './support/manifests.ts';
import { environmentProblems, SERVICES } from './support/services.ts';

/** The whole drain of a service. */
const DRAIN_S = 50;
/** What the downward API and the launcher fill in when the pod starts. */
const AT_RUN_TIME = new Map([
  ['FILBERT_ADVERTISE', '203.0.113.7:6346'],
  ['FILBERT_CONTROL_TOKEN', 'sixteen-characters'],
]);

const version = (JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { version: string }).version;

for (const folder of ['k8s/base', 'k8s/overlays/single-node'] as const) {
  describe(`${folder}: workloads`, () => {
    const objects = rendered(folder);
    const all = workloads(objects);

    it('there is one for every service and one for NATS', () => {
      assert.deepEqual(all.map(({ metadata }) => metadata.name).sort(), [...SERVICES, 'nats'].sort());
    });

    it('each runs its service, in the images that compose runs', () => {
      const { services } = compose();
      for (const { metadata, spec } of all) {
        const [container] = spec.template.spec.containers;
        assert.equal(container.image, services[metadata.name]?.image, metadata.name);
        if (metadata.name !== 'nats') assert.deepEqual(container.args, [metadata.name]);
      }
      assert.equal(services['router']?.image, `filbert:${version}`);
    });

    it('each service can use the settings that it is given, and knows all of them', () => {
      for (const workload of all) {
        if (workload.metadata.name === 'nats') continue;
        const env = environmentOf(workload, objects);
        for (const [name, value] of AT_RUN_TIME) if (env[name] !== undefined) env[name] = value;
        assert.deepEqual(environmentProblems(workload.metadata.name, env), [], workload.metadata.name);
        assert.equal(env['FILBERT_NATS'], 'nats://nats:4222');
      }
    });

    it('bootstrap counts as many router shards as there are routers, and is alone', () => {
      const byName = new Map(all.map((workload) => [workload.metadata.name, workload]));
      const bootstrap = byName.get('bootstrap') ?? assert.fail();
      assert.equal(
        environmentOf(bootstrap, objects)['FILBERT_ROUTER_SHARDS'],
        String(byName.get('router')?.spec.replicas),
      );
      assert.equal(bootstrap.spec.replicas, 1);
    });

    it('pods keep to the restricted level, with a read-only root and nothing of the cluster', () => {
      for (const { metadata, spec } of all) {
        const pod = spec.template.spec;
        const [{ securityContext }] = pod.containers;
        assert.equal(pod.securityContext.runAsNonRoot, true, metadata.name);
        assert.equal(pod.securityContext.runAsUser, 1000);
        assert.equal(pod.securityContext.seccompProfile.type, 'RuntimeDefault');
        assert.equal(securityContext.allowPrivilegeEscalation, false);
        assert.equal(securityContext.readOnlyRootFilesystem, true);
        assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] });
        assert.equal(pod.automountServiceAccountToken, false);
        assert.equal(pod.enableServiceLinks, false);
        assert.equal(pod.hostNetwork, undefined);
        assert.ok(pod.terminationGracePeriodSeconds > DRAIN_S, metadata.name);
      }
    });

    it('probes ask ports that the container has, for paths that the server answers', () => {
      for (const { metadata, spec } of all) {
        const [{ ports, startupProbe, livenessProbe, readinessProbe }] = spec.template.spec.containers;
        const port = metadata.name === 'nats' ? 'monitor' : 'admin';
        const paths = metadata.name === 'nats' ? ['/healthz', '/healthz', '/healthz'] : ['/livez', '/livez', '/readyz'];
        const probes = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet);
        assert.deepEqual(
          probes.map(({ path }) => path),
          paths,
          metadata.name,
        );
        for (const probe of probes) assert.equal(probe.port, port);
        assert.equal(ports.find(({ name }) => name === port)?.containerPort, port === 'admin' ? 9346 : 8222);
      }
    });

    it('every mount has its volume and every volume its mount', () => {
      for (const { metadata, spec } of all) {
        const [{ volumeMounts }] = spec.template.spec.containers;
        const claims = spec.volumeClaimTemplates.map((claim) => claim.metadata.name);
        const volumes = [...spec.template.spec.volumes.map(({ name }) => name), ...claims].sort();
        assert.deepEqual(volumeMounts.map(({ name }) => name).sort(), volumes, metadata.name);
      }
    });

    it('each has a budget and a headless service that select its pods', () => {
      for (const { metadata, spec } of all) {
        const { name } = metadata;
        const { labels } = spec.template.metadata;
        const component = { 'app.kubernetes.io/component': name };
        assert.deepEqual(spec.selector.matchLabels, component);
        assert.equal(labels['app.kubernetes.io/component'], name);
        assert.equal(spec.serviceName, name);
        const service = objects.find((object) => object.kind === 'Service' && object.metadata.name === name);
        const budget = objects.find((object) => object.kind === 'PodDisruptionBudget' && object.metadata.name === name);
        assert.deepEqual((service?.['spec'] as { selector?: unknown }).selector, component);
        assert.equal((service?.['spec'] as { clusterIP?: unknown }).clusterIP, 'None');
        assert.deepEqual(budget?.['spec'], { maxUnavailable: 1, selector: { matchLabels: component } });
      }
    });
  });
}

describe('k8s/overlays/single-node', () => {
  const objects = rendered('k8s/overlays/single-node');

  it('runs one pod of each', () => {
    for (const { metadata, spec } of workloads(objects)) assert.equal(spec.replicas, 1, metadata.name);
  });

  it('opens the Gnutella port on the node, no other port, and tells peers that address', () => {
    const open = workloads(objects).flatMap(({ metadata, spec }) =>
      spec.template.spec.containers[0].ports
        .filter(({ hostPort }) => hostPort !== undefined)
        .map(({ hostPort, containerPort, protocol }) => [metadata.name, hostPort, containerPort, protocol]),
    );
    assert.deepEqual(open, [['connections', 6346, 6346, 'TCP']]);
    const bootstrap = workloads(objects).find(({ metadata }) => metadata.name === 'bootstrap') ?? assert.fail();
    assert.equal(environmentOf(bootstrap, objects)['FILBERT_ADVERTISE'], '$(HOST_IP):6346');
    // A variable is filled in from those that stand before it.
    const names = bootstrap.spec.template.spec.containers[0].env.map(({ name }) => name);
    assert.ok(names.indexOf('HOST_IP') < names.indexOf('FILBERT_ADVERTISE'));
  });

  it('keeps all pods on the node whose address peers are told', () => {
    const affinity = {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          {
            topologyKey: 'kubernetes.io/hostname',
            labelSelector: { matchLabels: { 'app.kubernetes.io/component': 'bootstrap' } },
          },
        ],
      },
    };
    for (const { metadata, spec } of workloads(objects)) {
      const expected = metadata.name === 'bootstrap' ? undefined : affinity;
      assert.deepEqual(spec.template.spec['affinity'], expected, metadata.name);
    }
  });

  it('puts everything into its namespace', () => {
    for (const { kind, metadata } of objects) {
      if (kind !== 'Namespace') assert.equal(metadata['namespace'], 'filbert', `${kind} ${metadata.name}`);
    }
  });
});
