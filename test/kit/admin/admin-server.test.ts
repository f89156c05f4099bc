import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import {
  type AdminServer,
  createAdminServer,
  createLogger,
  createMetrics,
  createReadiness,
  ListenError,
  listenError,
  type MetricsSource,
  parseMetricsJson,
} from '@filbert/kit';
import { waitFor } from '../../support/wait-for.ts';

const logger = createLogger({ level: 'silent', name: 'test' });
const loopback = { host: '127.0.0.1', port: 0 };

interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

describe('kit admin server', () => {
  const servers: AdminServer[] = [];
  const sockets: Socket[] = [];
  const readiness = createReadiness();
  let port = 0;

  async function serve(metrics: MetricsSource, listen = loopback): Promise<number> {
    const server = createAdminServer({ listen, metrics, readiness, logger });
    servers.push(server);
    return (await server.start()).port;
  }

  function ask(path: string, { method = 'GET', headers = {}, to = port } = {}): Promise<Response> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: to, path, method, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  beforeEach(async () => {
    const metrics = createMetrics({ service: 'edge', strict: true });
    metrics.gaugeFrom('links', 'Links.', () => 7);
    port = await serve(metrics.registry);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  it('serves metrics as Prometheus text and as JSON that another process can merge', async () => {
    const text = await ask('/metrics?x=1');
    assert.equal(text.status, 200);
    assert.equal(text.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.match(text.body, /^filbert_edge_links 7$/m);
    const json = await ask('/metrics.json');
    assert.equal(json.headers['content-type'], 'application/json');
    const parsed = parseMetricsJson(JSON.parse(json.body));
    assert.ok(parsed.ok);
    assert.ok(parsed.value.some(({ name }) => name === 'filbert_edge_links'));
  });

  it('is alive, but not ready until every condition holds, and says what it waits for', async () => {
    assert.equal((await ask('/livez')).status, 200);
    readiness.set('bus', false);
    readiness.set('facts', false);
    const waiting = await ask('/readyz');
    assert.equal(waiting.status, 503);
    assert.deepEqual(JSON.parse(waiting.body), { ready: false, waitingFor: ['bus', 'facts'] });
    readiness.set('bus', true);
    readiness.set('facts', true);
    const ready = await ask('/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(JSON.parse(ready.body), { ready: true, waitingFor: [] });
  });

  it('answers HEAD without a body, other methods with 405, other paths with 404', async () => {
    const head = await ask('/metrics', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    assert.ok(Number(head.headers['content-length']) > 0);
    const post = await ask('/metrics', { method: 'POST', headers: { 'content-length': 0 } });
    assert.equal(post.status, 405);
    assert.equal(post.headers['allow'], 'GET, HEAD');
    assert.equal(post.headers['connection'], 'close');
    assert.equal((await ask('/')).status, 404);
    assert.equal((await ask('/../etc/passwd')).status, 404);
  });

  it('refuses headers that are too large', async () => {
    assert.equal((await ask('/livez', { headers: { 'x-large': 'x'.repeat(9_000) } })).status, 431);
  });

  it('closes connections over its limit, and answers again when others have gone', async () => {
    let closed = 0;
    for (let index = 0; index < 66; index++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('close', () => closed++);
      socket.on('error', () => {});
      sockets.push(socket);
    }
    await waitFor('two connections to be closed', () => closed === 2);
    for (const socket of sockets.splice(0)) socket.destroy();
    await waitFor('room', () =>
      ask('/livez').then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
  });

  it('makes one answer for scrapes that come at once', async () => {
    let scrapes = 0;
    let finish = (_text: string): void => {};
    const to = await serve({
      contentType: 'text/plain',
      metrics: () => {
        scrapes++;
        return new Promise((resolve) => (finish = resolve));
      },
      getMetricsAsJSON: () => Promise.reject(new Error('broken')),
    });
    const answers = [ask('/metrics', { to }), ask('/metrics', { to }), ask('/livez', { to })];
    await answers[2];
    await waitFor('a scrape', () => scrapes > 0);
    // A request on a new connection has passed by now, so the second scrape has reached the server too.
    await ask('/livez', { to });
    finish('x 1\n');
    assert.deepEqual(
      (await Promise.all(answers.slice(0, 2))).map(({ body }) => body),
      ['x 1\n', 'x 1\n'],
    );
    assert.equal(scrapes, 1);
    assert.equal((await ask('/metrics.json', { to })).status, 500);
  });

  it('says in a sentence that its port is in use', async () => {
    const metrics = createMetrics({ service: 'edge' }).registry;
    await assert.rejects(serve(metrics, { host: '127.0.0.1', port }), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.code, 'address-in-use');
      assert.match(
        error.message,
        new RegExp(`^admin address 127.0.0.1:${port} is in use: another process listens there`),
      );
      return true;
    });
  });

  it('says in a sentence that an address is not of this machine', async () => {
    const metrics = createMetrics({ service: 'edge' }).registry;
    const foreign = serve(metrics, { host: '192.0.2.1', port: 0 });
    await assert.rejects(foreign, /^ListenError: admin address 192\.0\.2\.1:0 is not an address of this machine/);
    assert.equal(listenError('control', { host: '::1', port: 80 }, new Error('EACCES: no')).code, 'not-permitted');
    assert.match(listenError('x', loopback, new Error('odd')).message, /could not be listened on: odd/);
  });

  it('stops with connections open, and frees its port', async () => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    await waitFor('the connection', () => socket.readyState === 'open');
    await servers[0]?.stop();
    assert.equal(servers[0]?.address, undefined);
    const again = createServer();
    await new Promise<void>((resolve) => again.listen(port, '127.0.0.1', resolve));
    await new Promise((resolve) => again.close(resolve));
  });
});
