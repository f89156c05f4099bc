import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createMetrics, type HostPort } from '@filbert/kit';
import { GATHER_TIMEOUT_MS, gatheredMetrics } from '../../cli/src/up/gathered-metrics.ts';
import { waitFor } from '../support/wait-for.ts';

describe('supervisor: metrics of all processes', () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  });

  async function serve(answer: RequestListener): Promise<HostPort> {
    const server = createServer(answer).listen(0, '127.0.0.1');
    servers.push(server);
    await waitFor('the server', () => server.listening);
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    return { host: '127.0.0.1', port: address.port };
  }

  it('leaves out and counts what does not answer in time or not with metrics, and asks none that is away', async () => {
    const own = createMetrics({ service: 'supervisor' });
    own.gaugeFrom('children', 'Children.', () => 3);
    const edge = createMetrics({ service: 'edge' });
    edge.gaugeFrom('links', 'Links.', () => 7);
    const good = await serve((_, response) => {
      void edge.registry.getMetricsAsJSON().then((json) => response.end(JSON.stringify(json)));
    });
    const missing: string[] = [];
    const source = gatheredMetrics({
      own: own.registry,
      processes: [
        { name: 'good', admin: good },
        { name: 'away', admin: undefined },
        { name: 'silent', admin: await serve(() => undefined) },
        { name: 'failing', admin: await serve((_, response) => response.writeHead(500).end()) },
        { name: 'strange', admin: await serve((_, response) => response.end('[{"name":1}]')) },
        { name: 'garbled', admin: await serve((_, response) => response.end('[')) },
        { name: 'endless', admin: await serve((_, response) => void response.end(' '.repeat(9 * 2 ** 20))) },
      ],
      onMissing: (name) => missing.push(name),
    });
    const startMs = performance.now();
    const text = await source.metrics();
    assert.ok(performance.now() - startMs < GATHER_TIMEOUT_MS + 1_500);
    assert.match(text, /^filbert_supervisor_children\{process="supervisor"\} 3$/m);
    assert.match(text, /^filbert_edge_links\{process="good"\} 7$/m);
    assert.deepEqual(new Set([...text.matchAll(/process="(\w+)"/g)].map(([, name]) => name)).size, 2);
    assert.deepEqual(missing.sort(), ['endless', 'failing', 'garbled', 'silent', 'strange']);
  });
});
