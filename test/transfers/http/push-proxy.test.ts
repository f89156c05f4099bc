import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  decodePush,
  guidToBase32,
  guidToHex,
  guidFromHex,
  HEADER_BYTES,
  pushAddress,
  type Push,
} from '@filbert/gnutella';
import { PushProxyResult, routerPush } from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import {
  MAX_PROXY_REQUESTS_PER_WINDOW,
  parseProxyParameters,
  PushProxyServer,
} from '../../../services/transfers/src/http/push-proxy.ts';
import { parseTarget } from '../../../services/transfers/src/http/request.ts';
import { someFacts } from '../../support/frame-bench.ts';
import { RawHttp, type RawResponse } from '../raw-http.ts';
import { vectorNamed } from '../vectors.ts';
import { cleanUp, startWorker } from '../worker.ts';

const {
  PUSH_PROXY_RESULT_SENT,
  PUSH_PROXY_RESULT_ROUTED,
  PUSH_PROXY_RESULT_NOT_CONNECTED,
  PUSH_PROXY_RESULT_TOO_OFTEN,
} = PushProxyResult;
const SERVENT = guidFromHex('00112233445566778899aabbccddeeff') as NonNullable<ReturnType<typeof guidFromHex>>;
const OTHER = guidFromHex('ffeeddccbbaa99887766554433221100') as NonNullable<ReturnType<typeof guidFromHex>>;

interface LimewireVector {
  readonly req: string;
  readonly code: number;
  readonly index?: number;
  readonly push_tls?: boolean;
}

/** A router that knows one servent. */
function answerFor(bus: Bus, result: PushProxyResult = PUSH_PROXY_RESULT_SENT): Push[] {
  const pushes: Push[] = [];
  bus.respond(routerPush(0), ({ push }) => {
    const decoded = decodePush(push, HEADER_BYTES, push.length);
    assert.ok(decoded.ok);
    pushes.push(decoded.value);
    const known = guidToHex(decoded.value.serventGuid) === guidToHex(SERVENT);
    return { result: known ? result : PUSH_PROXY_RESULT_NOT_CONNECTED };
  });
  return pushes;
}

describe('transfers: push proxy over HTTP', () => {
  afterEach(cleanUp);

  async function ask(port: number, path: string, node = '127.0.0.1:7777', method = 'GET'): Promise<RawResponse> {
    const client = await RawHttp.connect(port);
    const lines = [
      `${method} ${path} HTTP/1.1`,
      'Host: x',
      'Connection: close',
      ...(node === '' ? [] : [`X-Node: ${node}`]),
    ];
    return client.ask(`${lines.join('\r\n')}\r\n\r\n`, { head: method === 'HEAD' });
  }

  it('asks the router for a PUSH to who asked, and says what became of it', async () => {
    const bus = createInProcessBus();
    const { port } = await startWorker({ bus });
    const pushes = answerFor(bus);
    const sent = await ask(port, `/gnutella/push-proxy?ServerId=${guidToBase32(SERVENT)}&file=34`);
    assert.deepEqual([sent.status, sent.startLine], [202, 'HTTP/1.1 202 Push-Proxy: Message Sent']);
    const [push] = pushes;
    assert.ok(push);
    assert.equal(guidToHex(push.serventGuid), guidToHex(SERVENT));
    assert.equal(push.fileIndex, 34);
    assert.deepEqual(pushAddress(push), { host: '127.0.0.1', port: 7777 });
    const unknown = await ask(port, `/gnutella/pushproxy?serverid=${guidToBase32(OTHER)}`);
    assert.deepEqual([unknown.status, unknown.startLine], [410, 'HTTP/1.1 410 Push-Proxy: Servent not connected']);
  });

  it('tells a way that is no neighbour apart, and a servent that was asked for too often', async () => {
    for (const [result, status] of [
      [PUSH_PROXY_RESULT_ROUTED, 203],
      [PUSH_PROXY_RESULT_TOO_OFTEN, 503],
    ] as const) {
      const bus = createInProcessBus();
      const { port } = await startWorker({ bus });
      answerFor(bus, result);
      const response = await ask(port, `/gnet/push-proxy?guid=${guidToHex(SERVENT)}`, '127.0.0.1:7777', 'HEAD');
      assert.equal(response.status, status);
      assert.equal(response.headers.get('retry-after'), status === 503 ? '30' : undefined);
    }
  });

  it('answers 410 where no router answers', async () => {
    const { port } = await startWorker();
    assert.equal((await ask(port, `/gnet/push-proxy?guid=${guidToHex(SERVENT)}`)).status, 410);
  });

  it('refuses a request without a node, with one that is none, or that cannot be a peer', async () => {
    const bus = createInProcessBus();
    const { port } = await startWorker({ bus });
    const pushes = answerFor(bus);
    for (const node of ['', 'nowhere', 'example.invalid:80', '0.0.0.0:6346', '127.0.0.1:0', '224.0.0.1:6346']) {
      const response = await ask(port, `/gnet/push-proxy?guid=${guidToHex(SERVENT)}`, node);
      assert.equal(response.status, 400, node);
    }
    assert.equal(pushes.length, 0);
  });

  it('sends a PUSH nowhere but to the address that asks, unless both are of a closed network', async () => {
    const bus = createInProcessBus();
    const pushes = answerFor(bus);
    const proxy = (allowPrivate: boolean): PushProxyServer =>
      new PushProxyServer({
        bus,
        facts: () => someFacts({ serventGuid: OTHER }),
        allowPrivate,
        isLimited: (ip) => !allowPrivate || !ip.startsWith('10.'),
        random: (bytes) => new Uint8Array(bytes).fill(3),
        now: () => 0,
      });
    const status = async (server: PushProxyServer, remote: string, headers: [string, string][]): Promise<number> =>
      (await server.answer({ host: remote, port: 1 }, `guid=${guidToHex(SERVENT)}`, new Map(headers))).status;
    assert.equal(await status(proxy(false), '81.30.3.3', [['x-node', '81.30.3.3:6346']]), 202);
    assert.equal(await status(proxy(false), '81.30.3.3', [['x-node', '81.30.3.4:6346']]), 400);
    assert.equal(await status(proxy(false), '81.30.3.3', [['x-node', '10.0.0.1:6346']]), 400);
    assert.equal(await status(proxy(true), '81.30.3.3', [['x-node', '10.0.0.1:6346']]), 400);
    assert.equal(await status(proxy(true), '10.0.0.9', [['x-node', '10.0.0.1:6346']]), 202);
    assert.equal(await status(proxy(true), '10.0.0.9', [['x-node', '81.30.3.3:6346']]), 400);
    assert.equal(await status(proxy(false), '2a01:4f8::5', [['x-node-ipv6', '[2a01:4f8::5]:6346']]), 202);
    const hosts = pushes.map((push) => pushAddress(push)?.host);
    assert.deepEqual(hosts, ['81.30.3.3', '10.0.0.1', '2a01:4f8::5']);
    const limited = proxy(false);
    for (let i = 0; i < MAX_PROXY_REQUESTS_PER_WINDOW; i++) {
      assert.equal(await status(limited, '81.30.3.3', [['x-node', '81.30.3.3:6346']]), 202);
    }
    assert.equal(await status(limited, '81.30.3.3', [['x-node', '81.30.3.3:6346']]), 503);
    assert.equal(await status(limited, '81.30.3.5', [['x-node', '81.30.3.5:6346']]), 202);
    for (let i = 0; i <= MAX_PROXY_REQUESTS_PER_WINDOW; i++) {
      const host = `2a01:4f8::${i + 1}`;
      const expected = i < MAX_PROXY_REQUESTS_PER_WINDOW ? 202 : 503;
      assert.equal(await status(limited, host, [['x-node', `[${host}]:6346`]]), expected, 'a /64 is one asker');
    }
  });

  it('reads requests as the vectors say (LimeWire profile)', async () => {
    const vectors = JSON.parse(
      readFileSync(new URL('../../vectors/vectors-limewire.json', import.meta.url), 'utf8'),
    ) as { push_proxy_http: readonly LimewireVector[] };
    const base32 = guidToBase32(SERVENT);
    const hex = guidToHex(SERVENT);
    const requests = new Map([
      ['GET /gnutella/push-proxy?ServerID=<base32 guid>', `ServerID=${base32}`],
      ['HEAD ... Serverid=<base32>', `Serverid=${base32}`],
      ['GET ...?guid=<hex guid>', `guid=${hex}`],
      ['serverid=<unknown base32>', `serverid=${guidToBase32(OTHER)}`],
      ['guid=<unknown hex>', `guid=${guidToHex(OTHER)}`],
      ['serverid=<hex>', `serverid=${hex}`],
      ['guid=<base32>', `guid=${base32}`],
      ['/gnet/push-proxy?guid=<base32>', `guid=${base32}`],
      ['/gnet/push-proxy?guid=<hex>&file=34', `guid=${hex}&file=34`],
      ['guid=<hex>&serverid=<b32> both', `guid=${hex}&serverid=${base32}`],
      ['FILE=1&file=2', `guid=${hex}&FILE=1&file=2`],
      ['X-Node: unresolvable host', `guid=${hex}`],
      ['tls=true', `guid=${hex}&tls=true`],
      ['tls=false or garbage', `tls=maybe&guid=${hex}`],
      ['file=2147483645', `file=2147483645&guid=${hex}`],
    ]);
    const bus = createInProcessBus();
    const { port } = await startWorker({ bus });
    const pushes = answerFor(bus);
    for (const { req, code, index, push_tls: tls } of vectors.push_proxy_http) {
      const parameters = requests.get(req);
      assert.ok(parameters !== undefined, `the vector "${req}" is new`);
      const node = req.startsWith('X-Node') ? 'no-such-host.invalid:6346' : '127.0.0.1:7777';
      const path = req.includes('/gnet/') ? '/gnet/push-proxy' : '/gnutella/push-proxy';
      const response = await ask(port, `${path}?${parameters}`, node, req.startsWith('HEAD') ? 'HEAD' : 'GET');
      assert.equal(response.status, code, req);
      const push = pushes.splice(0)[0];
      if (index !== undefined) assert.equal(push?.fileIndex, index, req);
      if (tls !== undefined) assert.equal(push?.acceptsTls, tls, req);
      if (req === 'file=2147483645') assert.equal(push?.fileIndex, 2147483645);
    }
  });

  it('reads the targets of the vectors, also with percent escapes, and refuses what is no number or too large', () => {
    for (const name of ['push_proxy_get', 'push_proxy_get_hex']) {
      const { input, expected } = vectorNamed(name) as { input: { guid: string }; expected: string };
      const target = parseTarget(expected.split(' ')[1] ?? '');
      assert.ok(target.kind === 'push-proxy', name);
      const asked = parseProxyParameters(target.parameters);
      assert.ok(asked, name);
      assert.equal(guidToHex(asked.serventGuid), input.guid);
    }
    const escaped = `%53erverId=${guidToBase32(SERVENT).replace('A', '%41')}`;
    assert.equal(guidToHex(parseProxyParameters(escaped)?.serventGuid ?? OTHER), guidToHex(SERVENT));
    for (const file of ['x', '-1', '4294967296', '99999999999', '']) {
      assert.equal(parseProxyParameters(`guid=${guidToHex(SERVENT)}&file=${file}`), undefined, file);
    }
    assert.equal(parseProxyParameters(''), undefined);
    const startedMs = performance.now();
    for (let i = 0; i < 500; i++) parseProxyParameters(`${'a'.repeat(1_980)}=%0a`);
    assert.ok(performance.now() - startedMs < 1_000, 'however the words are cut');
    assert.equal(parseProxyParameters(`guid=${guidToHex(SERVENT)}%`), undefined);
  });
});
