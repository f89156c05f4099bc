import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { JOBS_BUCKET_BYTES } from '../../services/transfers/src/jobs/job-records.ts';
import { LEASES_BUCKET_BYTES } from '../../services/transfers/src/jobs/kv-job-store.ts';
import { compose, ROOT } from './support/manifests.ts';
import { environmentProblems, SERVICES } from './support/services.ts';
import { serviceEnvironment, SERVICE_NAMES } from '../../scripts/containers/service-environment.ts';

/** Fills in `${NAME:-default}` as compose does where the environment has nothing. */
function withDefaults(value: string): string {
  // The innermost first: a default may hold another variable.
  const filled = value.replace(/\$\{[A-Z_]+:-([^{}]*)\}/g, '$1');
  return filled === value ? value : withDefaults(filled);
}

const facts = { hostname: '0123456789ab', controlToken: 'sixteen-characters', claimName: (p: string) => `${p}-0` };

describe('compose: docker-compose.yml', () => {
  const { services, volumes } = compose();

  it('runs NATS and every service that there is, and the image knows all of them', () => {
    assert.deepEqual(Object.keys(services).sort(), [...SERVICES, 'nats', 'nats-store'].sort());
    assert.deepEqual([...SERVICE_NAMES].sort(), [...SERVICES].sort());
    const withMain = globSync('services/*/src/main.ts', { cwd: ROOT }).map((path) => path.split('/')[1]);
    assert.deepEqual(withMain.sort(), [...SERVICES].sort());
  });

  it('gives each service settings that it knows and can use, with what the launcher adds', () => {
    for (const name of SERVICES) {
      const given = Object.entries(services[name]?.environment ?? {}).map(
        ([variable, value]) => [variable, withDefaults(String(value))] as const,
      );
      const { FILBERT_CONTROL_TOKEN_FILE: file, ...env } = Object.fromEntries(given);
      assert.equal(file, '/control/token', name);
      const all: Record<string, string> = {
        FILBERT_ADMIN: '0.0.0.0:9346',
        ...env,
        ...serviceEnvironment(name, env, facts),
      };
      assert.deepEqual(environmentProblems(name, all), [], name);
      assert.equal(all['FILBERT_CONTROL'], '0.0.0.0:9347');
    }
  });

  it('publishes the Gnutella port and no other', () => {
    const ports = Object.entries(services).flatMap(([name, service]) => service.ports.map((port) => [name, port]));
    assert.deepEqual(ports, [['connections', '${FILBERT_PORT:-6346}:6346/tcp']]);
  });

  it('leaves containers nothing to write but their volumes, and no privilege', () => {
    for (const [name, service] of Object.entries(services)) {
      assert.equal(service.read_only, true, name);
      assert.deepEqual(service.cap_drop, ['ALL']);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
      assert.equal(service.restart, name === 'nats-store' ? 'no' : 'unless-stopped');
      // The drain of a service takes up to 50 s.
      if (name !== 'nats') assert.equal(service.stop_grace_period, '60s');
    }
  });

  it('keeps what JetStream keeps in a volume whose owner the server is', () => {
    const conf = readFileSync(`${ROOT}k8s/base/nats.conf`, 'utf8');
    assert.match(conf, /store_dir: \/data\n/);
    const [server, store] = [services['nats'], services['nats-store']];
    assert.ok(server?.volumes.includes('nats-data:/data') && store?.volumes.includes('nats-data:/data'));
    assert.equal(store?.image, services['router']?.image, 'the image whose /data has the owner');
    const megabytes = Number(/max_file_store: (\d+)MB/.exec(conf)?.[1]);
    assert.ok(megabytes * 1_000_000 > JOBS_BUCKET_BYTES + LEASES_BUCKET_BYTES, 'room for the buckets');
  });

  it('mounts declared volumes only, and what is shared never to be written', () => {
    for (const [name, service] of Object.entries(services)) {
      for (const volume of service.volumes.map(withDefaults)) {
        const [source = '', target, mode] = volume.split(':');
        assert.ok(source.startsWith('.') || source in volumes, `${name}: ${source}`);
        if (target === '/share' || (target === '/control' && name !== 'bootstrap')) assert.equal(mode, 'ro', name);
      }
    }
  });
});

describe('compose: docker-compose.admin.yml', () => {
  it('publishes the admin port of every service on loopback, of transfers a port that Docker chooses', () => {
    const { services } = parse(readFileSync(`${ROOT}docker-compose.admin.yml`, 'utf8')) as {
      services: Record<string, { ports: string[] }>;
    };
    assert.deepEqual(Object.keys(services).sort(), [...SERVICES].sort());
    const published = Object.entries(services).map(([name, { ports }]) => {
      const [port = '', ...others] = ports.map(withDefaults);
      assert.deepEqual(others, [], name);
      const match = /^127\.0\.0\.1:(\d*):9346$/.exec(port);
      assert.ok(match, `${name}: ${port}`);
      assert.equal(match[1] === '', name === 'transfers', `${name}: ${port}`);
      return match[1];
    });
    assert.equal(new Set(published).size, published.length, 'no port twice');
  });
});

describe('Dockerfile', () => {
  const BASE = 'node:24-bookworm-slim';
  const lines = readFileSync(`${ROOT}Dockerfile`, 'utf8').split('\n');

  it('copies the manifest of every workspace before it installs', () => {
    const manifests = globSync('{packages,services}/*/package.json', { cwd: ROOT });
    for (const path of [...manifests, 'cli/package.json', 'proto/package.json']) {
      const folder = path.replace(/package\.json$/, '');
      assert.ok(lines.includes(`COPY ${path} ${folder}`), path);
    }
  });

  it('says the version of the workspace, and needs nothing of a registry but its base', () => {
    const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { version: string };
    assert.ok(lines.some((line) => line.includes(`image.version="${version}"`)));
    assert.ok(!lines.some((line) => line.startsWith('# syntax=')));
    const stages = lines.flatMap((line) => /^FROM (\S+)(?: AS (\S+))?$/.exec(line)?.slice(1) ?? []);
    // Bases and names of stages; a stage may build upon an earlier one.
    assert.deepEqual(new Set(stages.filter((name) => name !== undefined)), new Set([BASE, 'manifests', 'messages']));
  });
});
