import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { base32Encode, decodeQueryHit, formatSha1Urn, HEADER_BYTES } from '@filbert/gnutella';
import { RawHttp, type RawResponse } from '../raw-http.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cleanUp, startWorker, temporaryFolder, TestLibrary, type Worker, type WorkerOptions } from '../worker.ts';

const CONTENT = randomBytes(300_000);

describe('transfers: uploads', () => {
  afterEach(cleanUp);

  async function sharing(
    name = 'some song.mp3',
    content: Buffer = CONTENT,
    options: WorkerOptions = {},
  ): Promise<{ worker: Worker; urn: string }> {
    const worker = await startWorker(options);
    const file = worker.library.add(name, content);
    return { worker, urn: formatSha1Urn(file.sha1) };
  }

  async function get(
    worker: Worker,
    path: string,
    headers: readonly string[] = [],
    method = 'GET',
  ): Promise<RawResponse> {
    const client = await RawHttp.connect(worker.port);
    const lines = [`${method} ${path} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers];
    return client.ask(`${lines.join('\r\n')}\r\n\r\n`, { head: method === 'HEAD' });
  }

  describe('of whole files', () => {
    it('serves by index and name, by urn:sha1 and by bitprint, with what identifies the file', async () => {
      const { worker, urn } = await sharing();
      const bitprint = `urn:bitprint:${urn.slice(9)}.${'A'.repeat(39)}`;
      const paths = [
        '/get/1/some%20song.mp3',
        `/uri-res/N2R?${urn}`,
        `/URI-RES/n2r?${urn.toLowerCase()}`,
        `/uri-res/N2R?${bitprint}`,
        `http://127.0.0.1/uri-res/N2R?${urn}`,
      ];
      for (const path of paths) {
        const response = await get(worker, path);
        assert.equal(response.status, 200, path);
        assert.ok(response.body.equals(CONTENT), path);
        assert.equal(response.headers.get('x-gnutella-content-urn'), urn);
        assert.match(response.headers.get('server') ?? '', /^Filbert\//);
      }
      assert.equal((await get(worker, '/nothing/here')).status, 404);
      const { requestTook } = worker.transfers.counters;
      await waitFor('the requests to end', () => requestTook.file.count + requestTook.other.count === paths.length + 1);
      assert.equal(requestTook.other.count, 1, 'an answer without a file');
    });

    it('answers HTTP/1.0 and then closes, whatever the case of the version', async () => {
      const { worker, urn } = await sharing();
      for (const version of ['HTTP/1.0', 'HtTP/1.0']) {
        const client = await RawHttp.connect(worker.port);
        client.send(`GET /uri-res/N2R?${urn} ${version}\r\n\r\n`);
        const response = await client.response();
        assert.equal(response.status, 200);
        assert.ok(response.body.equals(CONTENT));
        await client.closed();
      }
    });

    it('serves an empty file', async () => {
      const { worker, urn } = await sharing('empty', Buffer.alloc(0));
      const response = await get(worker, `/uri-res/N2R?${urn}`);
      assert.equal(response.status, 200);
      assert.equal(response.body.length, 0);
    });

    it('answers HEAD with the same headers and no body, and GET after it on the same connection', async () => {
      const { worker, urn } = await sharing();
      const client = await RawHttp.connect(worker.port);
      const head = await client.ask(`HEAD /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\n\r\n`, { head: true });
      assert.equal(head.status, 200);
      assert.equal(head.headers.get('content-length'), String(CONTENT.length));
      const whole = await client.ask(`GET /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.ok(whole.body.equals(CONTENT));
    });

    it('answers requests that were sent at once one after the other, in order', async () => {
      const { worker, urn } = await sharing();
      const client = await RawHttp.connect(worker.port);
      const request = (range: string): string =>
        `GET /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\nRange: bytes=${range}\r\n\r\n`;
      client.send(request('0-99999') + request('100000-199999') + request('200000-299999'));
      const bodies = [await client.response(), await client.response(), await client.response()].map(
        ({ body }) => body,
      );
      assert.ok(Buffer.concat(bodies).equals(CONTENT));
    });

    it('says who we are and what we can do with the first response only', async () => {
      const serventGuid = new Uint8Array(16).fill(0xab);
      const facts = { serventGuid, advertisedAddress: '203.0.114.7:6346' };
      const { worker, urn } = await sharing('x', CONTENT, { facts });
      const client = await RawHttp.connect(worker.port);
      const request = `GET /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n`;
      const { headers: first } = await client.ask(request);
      assert.match(first.get('x-features') ?? '', /queue\/0\.1/);
      assert.equal(first.get('x-guid'), 'ab'.repeat(16));
      assert.equal(first.get('x-remote-ip'), '127.0.0.1');
      assert.equal(first.has('x-host'), false, 'who connected to us knows how');
      const { headers: second } = await client.ask(request);
      for (const name of ['x-features', 'x-guid', 'x-remote-ip']) assert.equal(second.has(name), false, name);
    });
  });

  describe('of ranges', () => {
    const cases: readonly (readonly [range: string, status: number, first: number, end: number])[] = [
      ['bytes=0-0', 206, 0, 1],
      ['bytes=0-', 206, 0, 300_000],
      ['bytes=5-', 206, 5, 300_000],
      ['bytes=100-199', 206, 100, 200],
      ['bytes=299999-299999', 206, 299_999, 300_000],
      ['bytes=299990-400000', 206, 299_990, 300_000],
      ['bytes=-1', 206, 299_999, 300_000],
      ['bytes=-400000', 206, 0, 300_000],
      ['bytes  =  2 - 5', 206, 2, 6],
      ['bytes 2-5', 206, 2, 6],
      ['bytes=2-5,9-12', 206, 2, 6],
    ];
    for (const [range, status, first, end] of cases) {
      it(`serves ${range}`, async () => {
        const { worker, urn } = await sharing();
        const response = await get(worker, `/uri-res/N2R?${urn}`, [`Range: ${range}`]);
        assert.equal(response.status, status);
        assert.equal(response.headers.get('content-range'), `bytes ${first}-${end - 1}/300000`);
        assert.ok(response.body.equals(CONTENT.subarray(first, end)));
      });
    }

    for (const range of ['bytes=9-2', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=1', 'bytes=-1-2', '']) {
      it(`refuses "${range}" with 400`, async () => {
        const { worker, urn } = await sharing();
        assert.equal((await get(worker, `/uri-res/N2R?${urn}`, [`Range: ${range}`])).status, 400);
      });
    }

    for (const range of ['bytes=300000-', 'bytes=300000-300005', 'bytes=999999999999-', 'bytes=-0']) {
      it(`answers ${range} with 416 and keeps the connection`, async () => {
        const { worker, urn } = await sharing();
        const client = await RawHttp.connect(worker.port);
        const head = `GET /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\n`;
        const response = await client.ask(`${head}Range: ${range}\r\n\r\n`);
        assert.equal(response.status, 416);
        assert.equal(response.headers.get('content-range'), 'bytes */300000');
        assert.equal((await client.ask(`${head}Range: bytes=1-2\r\n\r\n`)).status, 206);
      });
    }
  });

  describe('of what is not there', () => {
    const cases: readonly (readonly [path: string, status: number])[] = [
      ['/get/1/other.mp3', 404],
      ['/get/2/some%20song.mp3', 404],
      ['/get/0/some%20song.mp3', 404],
      ['/get/99999999999/some%20song.mp3', 404],
      ['/get/x/some%20song.mp3', 404],
      ['/get/1/', 400],
      ['/get/1/..', 400],
      ['/get/1/..%2f..%2fetc%2fpasswd', 400],
      ['/get/1/a%00b', 400],
      ['/get/1/a%zz', 400],
      ['/get/1/a%2', 400],
      ['/../etc/passwd', 400],
      ['//etc/passwd', 400],
      ['/%2e%2e/etc', 400],
      ['/etc/passwd', 404],
      ['/uri-res/N2R?urn:sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ', 404],
      ['/uri-res/N2R?urn:sha1:short', 404],
      ['/uri-res/N2R', 404],
      ['/uri-res/N2X?urn:sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ', 404],
      ['/uri-res/N2L?urn:sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ', 501],
      // Whom nothing tells to connect where; test/transfers/http/push-proxy.test.ts has the others.
      ['/gnutella/push-proxy?ServerId=AAAAAAAAAAAAAAAAAAAAAAAAAA', 400],
      ['/favicon.ico', 404],
      ['/robots.txt', 200],
    ];
    for (const [path, status] of cases) {
      it(`answers ${path} with ${status}`, async () => {
        const { worker } = await sharing();
        assert.equal((await get(worker, path)).status, status);
      });
    }

    it('refuses a request that names another file by X-Gnutella-Content-URN', async () => {
      const { worker, urn } = await sharing();
      const other = `urn:sha1:${base32Encode(randomBytes(20))}`;
      assert.equal((await get(worker, '/get/1/some%20song.mp3', [`X-Gnutella-Content-URN: ${other}`])).status, 404);
      assert.equal((await get(worker, '/get/1/some%20song.mp3', [`X-Gnutella-Content-URN: ${urn}`])).status, 200);
    });

    it('answers 404 for a file that vanished, and 503 for one that changed', async () => {
      const { worker, urn } = await sharing();
      const path = join(worker.library.folder, 'some song.mp3');
      utimesSync(path, 1, 1);
      const changed = await get(worker, `/uri-res/N2R?${urn}`);
      assert.equal(changed.status, 503);
      assert.match(changed.headers.get('retry-after') ?? '', /^\d+$/);
      assert.equal(worker.transfers.counters.uploadsRefused['file-changed'], 1);
      unlinkSync(path);
      assert.equal((await get(worker, `/uri-res/N2R?${urn}`)).status, 404);
    });

    it('serves nothing that lies outside the share folders, whatever the catalogue and links say', async () => {
      const library = new TestLibrary();
      const outside = temporaryFolder();
      const secret = join(outside, 'secret');
      writeFileSync(secret, 'secret');
      const link = join(library.folder, 'link');
      symlinkSync(secret, link);
      const worker = await startWorker({ testLibrary: library });
      for (const path of [secret, link, join(library.folder, '..', outside.split('/').at(-1) ?? '', 'secret')]) {
        const file = library.catalogue({
          name: 'x',
          path,
          sha1: library.add(`f${path.length}`, Buffer.from(path)).sha1,
          sizeBytes: 6,
        });
        assert.equal((await get(worker, `/get/${file.index}/x`)).status, 404, path);
      }
    });

    it('serves a file of a folder that was added since the start, and nothing that a link there leads to', async () => {
      const library = new TestLibrary();
      const added = temporaryFolder();
      const path = join(added, 'inside');
      writeFileSync(path, 'inside');
      const secret = join(temporaryFolder(), 'secret');
      writeFileSync(secret, 'inside');
      const link = join(added, 'link');
      symlinkSync(secret, link);
      const worker = await startWorker({ testLibrary: library });
      const { sha1 } = library.add('same', Buffer.from('inside'));
      const facts = { name: 'x', sha1, sizeBytes: 6, shareFolder: added };
      const inside = library.catalogue({ ...facts, path });
      const outside = library.catalogue({ ...facts, path: link });
      assert.equal((await get(worker, `/get/${inside.index}/x`)).status, 200);
      assert.equal((await get(worker, `/get/${outside.index}/x`)).status, 404);
    });

    it('answers 503 with Retry-After while the library does not answer', async () => {
      const { worker, urn } = await sharing();
      worker.library.away = true;
      const response = await get(worker, `/uri-res/N2R?${urn}`);
      assert.equal(response.status, 503);
      assert.equal(response.headers.get('retry-after'), '60');
    });
  });

  describe('as listings', () => {
    it('gives the library as query hits, chunked, to who accepts packets', async () => {
      const { worker } = await sharing();
      worker.library.add('second.txt', Buffer.from('two'));
      const response = await get(worker, '/', ['Accept: application/x-gnutella-packets, text/html']);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-type'), 'application/x-gnutella-packets');
      const names: string[] = [];
      for (let at = 0; at < response.body.length;) {
        const end = at + HEADER_BYTES + response.body.readUInt16LE(at + 19);
        const hit = decodeQueryHit(response.body, at + HEADER_BYTES, end);
        assert.ok(hit.ok);
        names.push(...hit.value.records.map(({ name }) => name));
        at = end;
      }
      assert.deepEqual(names, ['some song.mp3', 'second.txt']);
    });

    it('gives a page with escaped names to a browser', async () => {
      const { worker, urn } = await sharing('<b>&"x".txt');
      const response = await get(worker, '/', ['Accept: text/html']);
      assert.match(response.headers.get('content-type') ?? '', /^text\/html/);
      const page = response.body.toString();
      assert.ok(page.includes(`/uri-res/N2R?${urn}`));
      assert.ok(!page.includes('<b>'));
    });

    it('answers 406 without a usable Accept, and HEAD without a body', async () => {
      const { worker } = await sharing();
      assert.equal((await get(worker, '/')).status, 406);
      assert.equal((await get(worker, '/', ['Accept: image/png'])).status, 406);
      assert.equal((await get(worker, '/', ['Accept: application/x-gnutella-packets'], 'HEAD')).status, 200);
    });
  });
});
