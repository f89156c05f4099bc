import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import fc from 'fast-check';
import { formatSha1Urn } from '@filbert/gnutella';
import { MAX_QUEUED } from '../../../services/transfers/src/slots/upload-slots.ts';
import { waitFor } from '../../support/wait-for.ts';
import { RawHttp } from '../raw-http.ts';
import { cleanUp, onCleanUp, startWorker, type Worker, type WorkerOptions } from '../worker.ts';

const CONTENT = randomBytes(3_000_000);

describe('transfers: hostile and odd clients', () => {
  afterEach(cleanUp);

  async function sharing(
    options: WorkerOptions = {},
  ): Promise<{ worker: Worker; request: (range?: string) => string }> {
    const worker = await startWorker(options);
    const urn = formatSha1Urn(worker.library.add('x', CONTENT).sha1);
    const request = (range = '0-9'): string =>
      `GET /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\nRange: bytes=${range}\r\n\r\n`;
    return { worker, request };
  }

  async function stillServes(worker: Worker, request: string): Promise<void> {
    const client = await RawHttp.connect(worker.port);
    assert.equal((await client.ask(request)).status, 206);
  }

  const bad: readonly (readonly [what: string, status: number, text: string])[] = [
    ['POST', 501, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'],
    ['an unknown method', 501, 'FROB / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a method in lower case', 501, 'get / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['HTTP/0.9', 400, 'GET /\r\n\r\n'],
    ['HTTP/2.0', 400, 'GET / HTTP/2.0\r\nHost: x\r\n\r\n'],
    ['no target', 400, 'GET HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a target with a space', 400, 'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no slash', 400, 'GET x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['no Host in HTTP/1.1', 400, 'GET / HTTP/1.1\r\n\r\n'],
    ['a body', 400, 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'],
    ['a chunked body', 400, 'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a control character', 400, 'GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a NUL in a header', 400, 'GET / HTTP/1.1\r\nHost: \0\r\n\r\n'],
    ['a request line of 10 KB', 413, `GET /${'a'.repeat(10_000)} HTTP/1.1\r\n\r\n`],
    ['a header line of 10 KB', 413, `GET / HTTP/1.1\r\nX: ${'a'.repeat(10_000)}\r\n\r\n`],
    ['a request of 200 KB', 413, `GET / HTTP/1.1\r\n${`X: ${'a'.repeat(1_000)}\r\n`.repeat(200)}\r\n`],
    ['1,000 headers', 413, `GET / HTTP/1.1\r\n${'X: a\r\n'.repeat(1_000)}\r\n`],
  ];
  for (const [what, status, text] of bad) {
    it(`answers ${what} with ${status}, closes, and goes on serving others`, async () => {
      const { worker, request } = await sharing();
      const client = await RawHttp.connect(worker.port);
      client.send(text);
      assert.equal((await client.response()).status, status);
      await client.closed();
      await stillServes(worker, request());
    });
  }

  const good: readonly (readonly [what: string, change: (text: string) => string])[] = [
    ['several spaces', (text) => text.replace('GET ', 'GET   ').replace(' HTTP', '   HTTP')],
    ['folded headers', (text) => text.replace('\r\n\r\n', '\r\nX-A: a\r\n b\r\n\r\n')],
    ['line feeds alone', (text) => text.replaceAll('\r\n', '\n')],
    ['120 headers', (text) => text.replace('\r\n\r\n', `\r\n${'X: y\r\n'.repeat(120)}\r\n`)],
    ['a tab after the colon', (text) => text.replace('Host: x', 'Host:\tx')],
    ['headers in any case', (text) => text.replace('Range', 'rAnGe')],
  ];
  for (const [what, change] of good) {
    it(`takes ${what}`, async () => {
      const { worker, request } = await sharing();
      await stillServes(worker, change(request()));
    });
  }

  it('answers a request that does not end with 408, and closes a silent connection', async () => {
    const { worker } = await sharing({ requestTimeoutMs: 150 });
    const slow = await RawHttp.connect(worker.port);
    slow.send('GET / HT');
    assert.equal((await slow.response()).status, 408);
    await slow.closed();
    const silent = await RawHttp.connect(worker.port);
    assert.equal((await silent.rest()).length, 0);
  });

  it('does not let a drip of bytes prolong the time for a request', async () => {
    const { worker, request } = await sharing({ requestTimeoutMs: 200 });
    const client = await RawHttp.connect(worker.port);
    const text = `${request().slice(0, -2)}X: ${'y'.repeat(500)}`;
    let sent = 0;
    const drip = setInterval(() => {
      if (client.isOpen) client.send(text[sent++] ?? 'y');
    }, 10);
    try {
      await client.closed();
    } finally {
      clearInterval(drip);
    }
    assert.ok(sent < 100, `${sent} bytes`);
  });

  it('drops an upload whose client takes nothing, and holds no more than a few pieces for it', async () => {
    const { worker, request } = await sharing({ sendStallMs: 300 });
    const socket = connect(worker.port, '127.0.0.1');
    onCleanUp(() => {
      socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.pause();
    // More than all buffers of loopback hold.
    const many = request(`0-${CONTENT.length - 1}`).repeat(20);
    socket.write(many);
    await waitFor('the upload', () => worker.transfers.uploads.uploads.size === 1 || undefined);
    await waitFor('the end of the upload', () => worker.transfers.uploads.uploads.size === 0 || undefined, 10_000);
    await waitFor('the end of the connection', () => worker.transfers.connections === 0 || undefined);
    await stillServes(worker, request());
  });

  it('ends an upload when its client goes away in the middle', async () => {
    const { worker, request } = await sharing({ uploadRate: 500_000 });
    const client = await RawHttp.connect(worker.port);
    client.send(request(`0-${CONTENT.length - 1}`));
    await waitFor('the upload', () => worker.transfers.uploads.uploads.size === 1 || undefined);
    client.socket.resetAndDestroy();
    await waitFor('its end', () => worker.transfers.uploads.uploads.size === 0 || undefined);
    assert.ok(worker.transfers.counters.uploadedBytes < CONTENT.length);
  });

  it('closes a connection after ten errors', async () => {
    const { worker } = await sharing();
    const client = await RawHttp.connect(worker.port);
    for (let i = 1; i <= 10; i++) {
      const response = await client.ask('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n');
      assert.equal(response.status, 404);
      assert.equal(response.headers.get('connection'), i < 10 ? 'keep-alive' : 'close');
    }
    await client.closed();
  });

  it('holds the bandwidth limit', async () => {
    const { worker, request } = await sharing({ uploadRate: 2_000_000 });
    const client = await RawHttp.connect(worker.port);
    const started = performance.now();
    await client.ask(request('0-999999'));
    const tookMs = performance.now() - started;
    assert.ok(tookMs > 350, `1 MB took ${tookMs} ms`);
  });

  it('lets an upload end while draining, and takes no further request', async () => {
    const { worker, request } = await sharing({ uploadRate: 6_000_000 });
    const client = await RawHttp.connect(worker.port);
    client.send(request(`0-${CONTENT.length - 1}`) + request());
    await waitFor('the upload', () => worker.transfers.uploads.uploads.size === 1 || undefined);
    const drained = worker.transfers.drain();
    assert.ok((await client.response()).body.equals(CONTENT));
    await drained;
    await client.closed();
    await assert.rejects(RawHttp.connect(worker.port));
  });

  it('serves a connection that was handed over, wherever its first bytes were split', async () => {
    const { worker, request } = await sharing({ listen: undefined });
    const text = request('5-9');
    for (let split = 1; split <= text.length; split += 7) {
      const edge = createServer((socket) => {
        socket.once('data', (first: Buffer) => worker.transfers.handOver(socket, first));
      });
      await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
      onCleanUp(() => {
        edge.close();
      });
      const address = edge.address();
      const client = await RawHttp.connect(typeof address === 'object' && address !== null ? address.port : 0);
      client.send(text.slice(0, split));
      await waitFor('the hand-over', () => worker.transfers.connections > 0 || undefined);
      client.send(text.slice(split));
      assert.ok((await client.response()).body.equals(CONTENT.subarray(5, 10)), `split at ${split}`);
      client.socket.destroy();
      await waitFor('the end', () => worker.transfers.connections === 0 || undefined);
    }
  });

  it('survives any bytes', async () => {
    const { worker, request } = await sharing();
    const word = fc.constantFrom(
      'GET ',
      'HEAD ',
      'GIV 1:',
      '/',
      '/get/',
      ' HTTP/1.1',
      '\r\n',
      'Host: x',
      'Range: bytes=',
      '0-',
      '\0',
      '%',
      'a'.repeat(300),
    );
    const message = fc.oneof(
      fc.array(word, { maxLength: 30 }).map((words) => Buffer.from(words.join(''))),
      fc.uint8Array({ maxLength: 300 }),
    );
    await fc.assert(
      fc.asyncProperty(message, async (bytes) => {
        const client = await RawHttp.connect(worker.port);
        client.send(bytes);
        client.socket.end();
        await client.closed();
      }),
      { numRuns: 60 },
    );
    await stillServes(worker, request());
    await waitFor('all to be closed', () => worker.transfers.connections <= 1 || undefined);
  });

  describe('in the queue', () => {
    async function full(
      options: WorkerOptions = {},
    ): Promise<{ worker: Worker; request: (range?: string) => string; holder: RawHttp }> {
      const { worker, request } = await sharing({ uploadSlots: 1, uploadRate: 1_000_000, pollMinS: 2, ...options });
      const holder = await RawHttp.connect(worker.port);
      holder.send(request(`0-${CONTENT.length - 1}`));
      await waitFor('the upload', () => worker.transfers.uploads.uploads.size === 1 || undefined);
      return { worker, request, holder };
    }
    const withHeader = (text: string, header: string): string => text.replace('\r\n\r\n', `\r\n${header}\r\n\r\n`);

    it('get their place by X-Queue only when they know it, and a plain 503 otherwise', async () => {
      const { worker, request } = await full();
      const plain = await (await RawHttp.connect(worker.port)).ask(request());
      assert.equal(plain.status, 503);
      assert.equal(plain.headers.has('x-queue') || plain.headers.has('x-queued'), false);
      assert.equal(plain.headers.get('connection'), 'close');
      const other = formatSha1Urn(worker.library.add('y', Buffer.from('other')).sha1);
      const text = `GET /uri-res/N2R?${other} HTTP/1.1\r\nHost: x\r\nX-Queue: 0.1\r\n\r\n`;
      const legacy = await (await RawHttp.connect(worker.port)).ask(text);
      assert.equal(legacy.status, 503);
      assert.match(legacy.headers.get('x-queue') ?? '', /^position=\d,length=\d,limit=1,pollMin=2,pollMax=120$/);
      assert.equal(legacy.headers.get('connection'), 'keep-alive');
    });

    it('lose it by polling too early, with the connection', async () => {
      const { worker, request } = await full();
      const text = withHeader(request(), 'X-Queue: 1.0');
      const client = await RawHttp.connect(worker.port);
      const queued = await client.ask(text);
      assert.match(queued.headers.get('x-queued') ?? '', /^position=1; length=1; lifetime=\d+; ID=[0-9a-f]{32}$/);
      assert.equal(queued.headers.get('retry-after'), '30');
      const early = await client.ask(text);
      assert.equal(early.status, 503);
      assert.equal(early.headers.has('x-queued'), false);
      await client.closed();
    });

    it('are counted by why they are not served, and the places in the queue by how they ended', async () => {
      const { worker, request } = await full();
      const { counters, slots } = worker.transfers;
      const counted = (): Record<string, number> =>
        Object.fromEntries(Object.entries(counters.uploadsRefused).filter(([, count]) => count > 0));
      const client = await RawHttp.connect(worker.port);
      const text = withHeader(request(), 'X-Queue: 1.0');
      await client.ask(text);
      assert.deepEqual(counted(), { queued: 1 });
      await client.ask(text);
      assert.deepEqual(counted(), { queued: 1, 'too-early': 1 });
      assert.equal(slots.placesEnded['too-early'], 1);
      const facts = { limited: false, fileKey: 'y', queueing: 'parq', ticket: undefined } as const;
      for (let i = 0; i < MAX_QUEUED; i++) slots.ask({ ...facts, connection: {}, ip: `10.0.${i >> 8}.${i & 255}` });
      assert.equal((await (await RawHttp.connect(worker.port)).ask(text)).status, 503);
      assert.deepEqual(counted(), { queued: 1, 'too-early': 1, 'queue-full': 1 });
      worker.library.away = true;
      assert.equal((await (await RawHttp.connect(worker.port)).ask(text)).status, 503);
      assert.deepEqual(counted(), { queued: 1, 'too-early': 1, 'queue-full': 1, 'library-away': 1 });
      assert.equal(counters.requests.busy, 4);

      const limited = await full({ allowPrivate: false, uploadsPerHost: 1 });
      const ask = async (one: string): Promise<number> =>
        (await (await RawHttp.connect(limited.worker.port)).ask(one)).status;
      const other = formatSha1Urn(limited.worker.library.add('y', Buffer.from('other')).sha1);
      assert.equal(await ask(limited.request()), 409);
      assert.equal(await ask(`GET /uri-res/N2R?${other} HTTP/1.1\r\nHost: x\r\n\r\n`), 503);
      const { uploadsRefused } = limited.worker.transfers.counters;
      assert.deepEqual([uploadsRefused['same-file'], uploadsRefused['host-limit']], [1, 1]);
    });

    it('may ask HEAD without a slot', async () => {
      const { worker, request } = await full();
      const client = await RawHttp.connect(worker.port);
      assert.equal((await client.ask(request().replace('GET', 'HEAD'), { head: true })).status, 206);
    });

    it('are served when the slot is free again', async () => {
      const { worker, request, holder } = await full();
      const client = await RawHttp.connect(worker.port);
      const text = withHeader(request(), 'X-Queue: 0.1');
      assert.equal((await client.ask(text)).status, 503);
      holder.socket.destroy();
      await waitFor('the free slot', () => worker.transfers.slots.free === 1 || undefined);
      assert.equal((await client.ask(text)).status, 206);
    });
  });

  it('holds one address to its limits, where limits apply', async () => {
    const { worker } = await sharing({ allowPrivate: false });
    const clients = await Promise.all(Array.from({ length: 21 }, () => RawHttp.connect(worker.port)));
    await waitFor('the refusal', () => worker.transfers.counters.refusedConnections['too-many'] === 1 || undefined);
    await waitFor('a closed one', () => clients.filter(({ isOpen }) => !isOpen).length === 1 || undefined);
    for (const client of clients) client.socket.destroy();
    await waitFor('all to be closed', () => worker.transfers.connections === 0 || undefined);
    const browse = 'GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n';
    const client = await RawHttp.connect(worker.port);
    for (let i = 0; i < 3; i++) assert.equal((await client.ask(browse)).status, 200);
    const fourth = await client.ask(browse);
    assert.equal(fourth.status, 429);
    assert.ok(fourth.headers.has('retry-after'));
  });
});
