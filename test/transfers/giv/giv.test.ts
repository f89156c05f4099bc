import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import {
  asGuid,
  encodePush,
  FIREWALL_TO_FIREWALL_INDEX,
  formatSha1Urn,
  ipv4FromText,
  guidToHex,
  type Guid,
} from '@filbert/gnutella';
import { encodeProxyHeader, giv, type InternalLinkOptions } from '@filbert/contracts';
import { createInProcessBus } from '@filbert/kit';
import { encodeGivLine } from '../../../services/transfers/src/giv/giv-line.ts';
import { Connection } from '../../../services/transfers/src/network/connection.ts';
import { attribute, recordSpans } from '../../support/otlp-receiver.ts';
import { waitFor } from '../../support/wait-for.ts';
import { RawHttp } from '../raw-http.ts';
import { cleanUp, onCleanUp, requestFor, startWorker, type Worker, type WorkerOptions } from '../worker.ts';

const CONTENT = randomBytes(5 * 1024 * 1024);

/** What an edge is for a worker: PUSHes of one worker reach the one with that servent GUID. */
class PushNetwork {
  readonly sent: Uint8Array[] = [];
  /** W3C traceparents that the frames of links went with. */
  readonly traces: (string | undefined)[] = [];
  readonly #links: InternalLinkOptions[] = [];

  edge(): NonNullable<WorkerOptions['internalEdge']> {
    return {
      numbers: { links: 0, linksRefused: 0, ingress: undefined, delivered: 0, unknownLink: 0, oldEpoch: 0 },
      start: () => undefined,
      stop: () => undefined,
      openLink: (_, options) => {
        this.#links.push(options);
        return {
          number: this.#links.length,
          setTable: () => undefined,
          close: () => undefined,
          send: (frame, trace) => {
            this.traces.push(trace);
            this.send(frame);
          },
        };
      },
    };
  }

  send(frame: Uint8Array): void {
    this.sent.push(frame);
    for (const { serventGuid, onFrame } of this.#links) {
      if (serventGuid !== undefined && Buffer.from(serventGuid).equals(frame.subarray(23, 39))) {
        onFrame(frame, 0, frame.length, 1, 1, undefined);
      }
    }
  }
}

function pushFrame(serventGuid: Guid, port: number, options: { index?: number; host?: string } = {}): Uint8Array {
  return encodePush(
    { guid: new Uint8Array(randomBytes(16)), ttl: 3 },
    { serventGuid, fileIndex: options.index ?? 1, ip: ipv4FromText(options.host ?? '127.0.0.1') ?? 0, port },
  );
}

async function listener(): Promise<{ port: number; accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    accepted.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanUp(() => {
    server.close();
    for (const socket of accepted) socket.destroy();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, accepted };
}

describe('transfers: PUSH and GIV', () => {
  afterEach(cleanUp);

  /** A worker of a servent that PUSHes reach. */
  async function servent({ facts, ...options }: WorkerOptions = {}): Promise<{
    network: PushNetwork;
    serving: Worker;
    guid: Guid;
  }> {
    const network = new PushNetwork();
    const guid = asGuid(new Uint8Array(randomBytes(16)));
    const serving = await startWorker({
      ...options,
      internalEdge: network.edge(),
      facts: { ...facts, serventGuid: guid },
    });
    return { network, serving, guid };
  }

  /** Such a worker that takes no connections, and one that fetches from it. */
  async function pair(): Promise<{ network: PushNetwork; serving: Worker; fetching: Worker; guid: Guid }> {
    const { network, serving, guid } = await servent({ listen: undefined });
    const fetching = await startWorker({ internalEdge: network.edge() });
    return { network, serving, fetching, guid };
  }

  it('fetches a file byte for byte from a source that can only be reached by PUSH', async () => {
    const { network, serving, fetching, guid } = await pair();
    const file = serving.library.add('behind a wall', CONTENT);
    const source = { address: undefined, serventGuid: guid, index: file.index, firewalled: true };
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [source]));
    await waitFor('the file', () => download.state === 'completed' || undefined);
    assert.ok(readFileSync(download.path).equals(CONTENT));
    // One connection serves every range.
    assert.equal(network.sent.length, 1);
    assert.equal(serving.transfers.counters.pushes.served, 1);
    assert.equal(fetching.transfers.counters.givs.claimed, 1);
  });

  it('sends the PUSH of a traced download within the trace of the session that it is for', async () => {
    const recording = await recordSpans(1);
    onCleanUp(async () => void (await recording.end()));
    const { network, serving, fetching, guid } = await pair();
    const file = serving.library.add('behind a wall', CONTENT);
    const source = { address: undefined, serventGuid: guid, index: file.index, firewalled: true };
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [source]));
    await waitFor('the file', () => download.state === 'completed' || undefined);
    await download.halt();
    const spans = await recording.end();
    const whole = spans.find(({ name }) => name === 'download');
    const session = spans.find(({ name }) => name === 'fetch from source');
    assert.equal(session?.parentSpanId, whole?.spanId);
    assert.deepEqual(network.traces, [`00-${whole?.traceId}-${session?.spanId}-01`]);
    assert.deepEqual([attribute(whole, 'result'), attribute(whole, 'bytes')], ['completed', CONTENT.length]);
  });

  it('tries a PUSH where a direct connection fails', async () => {
    const { serving, fetching, guid } = await pair();
    const file = serving.library.add('closed port', CONTENT);
    const source = { address: { host: '127.0.0.1', port: 1 }, serventGuid: guid, index: 1, firewalled: false };
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [source]));
    await waitFor('the file', () => download.state === 'completed' || undefined);
    assert.ok(readFileSync(download.path).equals(CONTENT));
  });

  it('blames a source whose GIV does not come, and sends it four PUSHes in 30 s at most', async () => {
    const network = new PushNetwork();
    const fetching = await startWorker({ internalEdge: network.edge(), timings: { givMs: 20, restFactor: 0.0001 } });
    const guid = asGuid(new Uint8Array(randomBytes(16)));
    const file = fetching.library.add('never comes', Buffer.from('x'));
    const source = { address: undefined, serventGuid: guid, index: 1, firewalled: true };
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [source]));
    await waitFor('giving up', () => [...download.sources()][0]?.givenUp);
    assert.equal(network.sent.length, 4);
    assert.equal([...download.sources()][0]?.blame, 'no-giv');
  });

  it('answers a PUSH with GIV and serves on that connection', async () => {
    const { network, serving, guid } = await pair();
    const file = serving.library.add('abc.txt', CONTENT);
    const { port, accepted } = await listener();
    network.send(pushFrame(guid, port));
    const socket = await waitFor('the connection', () => accepted[0]);
    const peer = new RawHttp(socket);
    const line = await peer.until((held) => (held.includes('\n\n') ? held.indexOf('\n\n') + 2 : undefined));
    assert.equal(line.toString(), `GIV 1:${guidToHex(guid).toUpperCase()}/abc.txt\n\n`);
    const path = `/uri-res/N2R?${formatSha1Urn(file.sha1)}`;
    for (const range of ['0-9', '10-19']) {
      const response = await peer.ask(`GET ${path} HTTP/1.1\r\nHost: x\r\nRange: bytes=${range}\r\n\r\n`);
      assert.equal(response.status, 206);
    }
  });

  it('tells who sent a PUSH where we can be connected to, unless a firewall is known to be in the way', async () => {
    for (const firewalled of [false, true]) {
      const facts = { advertisedAddress: '203.0.114.7:6346', firewalled };
      const { network, serving, guid } = await servent({ listen: undefined, facts });
      const file = serving.library.add('abc.txt', CONTENT);
      const { port, accepted } = await listener();
      network.send(pushFrame(guid, port));
      const peer = new RawHttp(await waitFor('the connection', () => accepted[0]));
      await peer.until((held) => (held.includes('\n\n') ? held.indexOf('\n\n') + 2 : undefined));
      const path = `/uri-res/N2R?${formatSha1Urn(file.sha1)}`;
      const { headers } = await peer.ask(`GET ${path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\n`);
      assert.equal(headers.get('x-host'), firewalled ? undefined : '203.0.114.7:6346');
      assert.equal(headers.get('x-guid'), guidToHex(guid));
    }
  });

  it('connects also for an index that it does not know', async () => {
    const { network, guid } = await pair();
    const { port, accepted } = await listener();
    network.send(pushFrame(guid, port, { index: 0xffffffff }));
    const peer = new RawHttp(await waitFor('the connection', () => accepted[0]));
    const line = await peer.until((held) => (held.includes('\n\n') ? held.length : undefined));
    assert.match(line.toString(), /^GIV 4294967295:/);
  });

  it('ignores the sixth PUSH of one address within 30 s, but not where limits do not apply', async () => {
    const { network, serving, guid } = await servent({ allowPrivate: false });
    for (let i = 0; i < 7; i++) network.send(pushFrame(guid, 6346, { host: '203.0.114.9' }));
    await waitFor('the verdicts', () => serving.transfers.counters.pushes['too-many'] === 2 || undefined);
  });

  it('serves a message that comes twice once', async () => {
    const { network, serving, guid } = await pair();
    const { port, accepted } = await listener();
    const frame = pushFrame(guid, port);
    network.send(frame);
    network.send(frame);
    await waitFor('the connection', () => accepted[0]);
    assert.equal(serving.transfers.counters.pushes.duplicate, 1);
    assert.equal(accepted.length, 1);
  });

  it('connects to nobody for PUSHes that are malformed, for others, to itself, to nobody, or by RUDP', async () => {
    const facts = { advertisedAddress: '203.0.114.1:6346' };
    const { network, serving, guid } = await servent({ allowPrivate: false, facts });
    const { counters } = serving.transfers;
    network.send(pushFrame(guid, 6346, { host: '127.0.0.1' }));
    network.send(pushFrame(guid, 6346, { host: '10.0.0.1' }));
    network.send(pushFrame(guid, 25, { host: '203.0.114.9' }));
    network.send(pushFrame(guid, 6346, { host: '203.0.114.1' }));
    network.send(pushFrame(guid, 6346, { host: '203.0.114.9', index: FIREWALL_TO_FIREWALL_INDEX }));
    network.send(pushFrame(guid, 0, { host: '203.0.114.9' }));
    network.send(pushFrame(guid, 6346).subarray(0, 45));
    await waitFor('the verdicts', () => counters.pushes.malformed === 2 || undefined);
    assert.equal(counters.pushes['bad-address'], 3);
    assert.equal(counters.pushes['own-address'], 1);
    assert.equal(counters.pushes.rudp, 1);
    assert.equal(counters.pushes.served + counters.pushes.unreachable, 0);
  });

  it('holds no more connections to one address than it takes from one, and begins none while it drains', async () => {
    const { network, serving, guid } = await servent({ listen: undefined });
    const { port, accepted } = await listener();
    network.send(pushFrame(guid, port));
    await waitFor('the connection', () => accepted[0]);
    assert.equal(serving.transfers.connections, 1, 'it counts as one that came');
    const drained = serving.transfers.drain();
    network.send(pushFrame(guid, port));
    await drained;
    assert.equal(accepted.length, 1);
  });

  it('does not try an address again that could not be connected to', async () => {
    const { network, serving, guid } = await pair();
    network.send(pushFrame(guid, 1));
    await waitFor('the failure', () => serving.transfers.counters.pushes.unreachable === 1 || undefined);
    network.send(pushFrame(guid, 1));
    await waitFor('the refusal', () => serving.transfers.counters.pushes.unreachable === 2 || undefined);
  });

  describe('that somebody else received', () => {
    it('is claimed over the bus by who waits, and by nobody else', async () => {
      const network = new PushNetwork();
      const bus = createInProcessBus();
      const fetching = await startWorker({ bus, internalEdge: network.edge() });
      const guid = asGuid(new Uint8Array(randomBytes(16)));
      const hex = guidToHex(guid);
      const request = { serventGuid: guid, index: 1, fileName: 'x' };
      await assert.rejects(bus.request(giv(hex), request, { timeoutMs: 50 }));
      const file = fetching.library.add('x', CONTENT);
      const source = { address: undefined, serventGuid: guid, index: 1, firewalled: true };
      await fetching.transfers.downloads.add(requestFor(file, [source]));
      await waitFor('the PUSH', () => network.sent[0]);
      const reply = await bus.request(giv(hex), request, { timeoutMs: 500 });
      assert.equal(reply.workerId, 'transfers-0');
    });

    it('is closed and counted where nobody waits', async () => {
      const worker = await startWorker();
      const client = await RawHttp.connect(worker.port);
      client.send(encodeGivLine({ index: 1, serventGuid: asGuid(new Uint8Array(16).fill(3)), fileName: 'x' }));
      await client.closed();
      assert.equal(worker.transfers.counters.givs.unrequested, 1);
    });

    it('is carried to the worker that waits', async () => {
      const network = new PushNetwork();
      const bus = createInProcessBus();
      const serving = await startWorker();
      const file = serving.library.add('relayed', CONTENT);
      const facts = { advertisedAddress: '127.0.0.1:6346' };
      const waiting = await startWorker({
        bus,
        facts,
        workerId: 'transfers-1',
        listen: undefined,
        internalListen: { host: '127.0.0.1', port: 0 },
        internalEdge: network.edge(),
      });
      const other = await startWorker({ bus, facts });
      const guid = asGuid(new Uint8Array(randomBytes(16)));
      const source = { address: undefined, serventGuid: guid, index: 1, firewalled: true };
      const { download } = await waiting.transfers.downloads.add(requestFor(file, [source]));
      await waitFor('the PUSH', () => network.sent[0]);
      // The firewalled source reaches the wrong worker, and serves there.
      const socket = connect(other.port, '127.0.0.1');
      onCleanUp(() => {
        socket.destroy();
      });
      socket.write(encodeGivLine({ index: 1, serventGuid: guid, fileName: 'relayed' }));
      void serving.transfers.uploads.serve(new Connection(socket, { host: '127.0.0.1', port: other.port }), true);
      await waitFor('the file', () => download.state === 'completed' || undefined);
      assert.ok(readFileSync(download.path).equals(CONTENT));
      assert.equal(other.transfers.counters.givs.relayed, 1);
    });
  });

  it('hands over through the internal address with the real address of the peer', async () => {
    const worker = await startWorker({ internalListen: { host: '127.0.0.1', port: 0 } });
    const file = worker.library.add('x', Buffer.from('hello'));
    const port = Number(worker.transfers.internalAddress.split(':')[1]);
    const client = await RawHttp.connect(port);
    const source = { host: '198.18.7.7', port: 4000 };
    client.send(encodeProxyHeader({ source, destination: { host: '10.0.0.1', port: 6346 } }));
    const response = await client.ask(`GET /uri-res/N2R?${formatSha1Urn(file.sha1)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(response.body.toString(), 'hello');
    assert.equal(response.headers.get('x-remote-ip'), '198.18.7.7');
  });

  it('serves nothing to who comes to the internal address without a header', async () => {
    const worker = await startWorker({ internalListen: { host: '127.0.0.1', port: 0 } });
    const client = await RawHttp.connect(Number(worker.transfers.internalAddress.split(':')[1]));
    client.send('GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal((await client.rest()).length, 0);
    assert.equal(worker.transfers.counters.refusedConnections['bad-proxy-header'], 1);
  });
});
