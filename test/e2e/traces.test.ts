import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { searchV1, transfersV1 } from '@filbert/contracts';
import { base32Encode } from '@filbert/gnutella';
import { callStream, callUnary, createRpcClient, parseHostPort } from '@filbert/kit';
import { freePort, NodeProcess } from '../support/node-process.ts';
import { attribute, startOtlpReceiver, type OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts';
import type { RawPeer } from '../support/raw-peer.ts';
import { guidBehind, randomGuid, type RawFrame } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { FORMS } from './support/forms.ts';
import { Network } from './support/network.ts';
import { serviceOf, tracesOf, treeOf, type TraceTree } from './support/trace-tree.ts';

const CALL = { timeoutMs: 5_000 };
const READY_TIMEOUT_MS = 20_000;
/** Every process loads the SDK first, all at one time. */
const START_TIMEOUT_MS = 120_000;
const PROBE_MS = 250;
const FILE_BYTES = 400_000;
/** Longer than any other query of this test: by its length its spans are known, for they say nothing of what is asked. */
const ASKED = 'quince marmalade of the longest kind that anybody asks for here';
/** Of the file and of the query: nothing of these may stand in a span. */
const SECRETS = ['quince', 'marmalade', 'kumquat'];

for (const form of FORMS) {
  describe(`e2e, ${form.name}: traces`, function () {
    this.timeout(200_000);
    const net = new Network(form, false);
    const content = randomBytes(FILE_BYTES);
    const sha1 = base32Encode(createHash('sha1').update(content).digest());
    const records = [{ index: 7, size: 4096, name: 'kumquat.txt' }];
    let folder: string;
    let receiver: OtlpReceiver;
    let node: NodeProcess | undefined;
    let query: RawFrame;
    let addresses: readonly string[];
    let logged: readonly string[];

    /** Of the process that holds this service. */
    const by = (service: string): string => (form.options.processes === true ? `filbert-${service}` : 'filbert');
    const tree = (service: string, name: string, ...children: TraceTree[]): TraceTree => {
      const sorted = children.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
      return { span: `${by(service)}: ${name}`, ...(sorted.length > 0 && { children: sorted }) };
    };
    const named = (name: string): ReceivedSpan[] => receiver.spans.filter((span) => span.name === name);
    const only = (spans: readonly ReceivedSpan[] | undefined): ReceivedSpan => {
      assert.equal(spans?.length, 1);
      return spans[0] as ReceivedSpan;
    };
    const queryBytes = (): number => 23 + query.payload.length;

    /** Everything that is to be traced, with every trace recorded, up to the end of the node. */
    before(async () => {
      receiver = await startOtlpReceiver();
      folder = mkdtempSync(join(tmpdir(), 'filbert-traces-'));
      writeFileSync(join(folder, `${ASKED}.bin`), content);
      node = await NodeProcess.start({
        ...form.options,
        readyTimeoutMs: START_TIMEOUT_MS,
        args: [
          ...['--share', folder, '--log-level', 'debug'],
          ...['--tracing', '--otlp-endpoint', receiver.endpoint, '--trace-ratio', '1'],
        ],
      });
      await net.open(node);
      const asker = await net.ultrapeer();
      const leaf = await net.leaf({ table: { words: ASKED.split(' ') } });
      addresses = [asker, leaf].map((peer) => `:${peer.local.port}`);
      await net.ready(asker, leaf, 'quince');
      const guid = randomGuid();
      await libraryAnswers(asker, guid);
      query = asker.sendQuery({ guid, text: ASKED, ttl: 1 });
      await asker.nextOf('hit', query.guid);
      await leaf.nextOf('query', query.guid);
      leaf.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records });
      await asker.nextOf('hit', query.guid);
      await search(asker);
      await upload();
      await download();
      await net.reset();
      logged = [...node.stderr];
      net.close();
      // What is not sent yet is sent before the end.
      await node.stop();
    });

    after(async () => {
      await node?.stop();
      await receiver.close();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Until the shard of this GUID hands queries to the library. */
    async function libraryAnswers(asker: RawPeer, guid: string): Promise<void> {
      const words = ASKED.split(' ').filter((word) => word.length > 3);
      // Each asks something else, for repeated ones are dropped.
      const texts = words.flatMap((one, i) =>
        words.slice(i + 1).flatMap((other) => [`${one} ${other}`, `${other} ${one}`]),
      );
      await waitFor(
        'a hit of the library',
        async () => {
          const probe = asker.sendQuery({ guid: guidBehind(guid), text: texts.shift() ?? '', ttl: 1 });
          return asker.nextOf('hit', probe.guid, PROBE_MS).then(
            () => true,
            () => false,
          );
        },
        READY_TIMEOUT_MS,
      );
    }

    function client(): ReturnType<typeof createRpcClient> {
      const address = parseHostPort(String(node?.control()['control']));
      assert.ok(address);
      return createRpcClient({ address });
    }

    /** A person's search, answered by the ultrapeer. */
    async function search(ultrapeer: RawPeer): Promise<void> {
      const rpc = client();
      const request = { query: 'kumquat', enough: 1, timeoutMs: 10_000 };
      const answers = callStream(rpc, searchV1.SearchServiceService.search, request, { timeoutMs: 15_000 });
      const ends: searchV1.SearchEnd[] = [];
      const reading = (async () => {
        for await (const { end } of answers) ends.push(end);
      })();
      const asked = await ultrapeer.next(
        ({ descriptor, payload }) => descriptor === 0x80 && payload.includes('kumquat'),
      );
      ultrapeer.sendHit({ queryGuid: asked.guid, serventGuid: randomGuid(), records });
      await reading;
      rpc.close();
      assert.equal(ends.at(-1), searchV1.SearchEnd.SEARCH_END_ENOUGH);
    }

    async function upload(): Promise<void> {
      // The edge answers 503 itself while no worker was heard of for some seconds, as on a busy machine.
      const body = await waitFor('an upload', async () => {
        const response = await fetch(`http://${node?.address ?? ''}/uri-res/N2R?urn:sha1:${sha1}`, {
          headers: { range: `bytes=1000-${FILE_BYTES - 1}` },
        });
        const bytes = await response.arrayBuffer();
        return response.status === 503 ? undefined : bytes;
      });
      assert.equal(body.byteLength, FILE_BYTES - 1000);
    }

    /** From the node itself, which is as good a source as any, and from a place where nobody is. */
    async function download(): Promise<void> {
      const rpc = client();
      const { startDownload, listDownloads } = transfersV1.TransfersServiceService;
      const sources = [`127.0.0.1:${await freePort()}`, node?.address ?? ''].map((address) => {
        return { address, serventGuid: '', index: 0, firewalled: false };
      });
      const request = { target: `urn:sha1:${sha1}`, sources, name: 'fetched.bin', sizeBytes: FILE_BYTES };
      await callUnary(rpc, startDownload, request, CALL);
      await waitFor(
        'the download',
        async () => {
          const { downloads } = await callUnary(rpc, listDownloads, {}, CALL);
          return downloads[0]?.state === transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED;
        },
        READY_TIMEOUT_MS,
      );
      rpc.close();
    }

    it('one query of a peer is one trace from the edge over the router and the index back to the edge', () => {
      const root = only(named('query').filter((span) => attribute(span, 'bytes') === queryBytes()));
      const trace = tracesOf(receiver.spans).get(root.traceId) ?? [];
      const hit = tree('router', 'route hit', tree('connections', 'deliver hit'));
      assert.deepEqual(
        treeOf(trace),
        tree(
          'connections',
          'query',
          tree(
            'router',
            'route query',
            tree('connections', 'deliver query'),
            tree('search_index', 'match', hit),
            // Of the leaf: what peers send carries no trace, the shard knows it by its GUID.
            hit,
          ),
        ),
      );
      const routed = named('route query').filter((span) => attribute(span, 'bytes') === queryBytes());
      assert.deepEqual([...new Set(routed.map(({ traceId }) => traceId))], [root.traceId]);
      assert.equal(routed.length, 1);
    });

    it('its spans say what became of it, and lie one after the other', () => {
      const root = only(named('query').filter((span) => attribute(span, 'bytes') === queryBytes()));
      const trace = tracesOf(receiver.spans).get(root.traceId) ?? [];
      const of = (name: string): ReceivedSpan[] => trace.filter((span) => span.name === name);
      assert.equal(root.kind, 2);
      assert.deepEqual(
        ['from', 'ttl', 'hops', 'result'].map((key) => attribute(root, key)),
        ['ultrapeer', 1, 0, 'routed'],
      );
      const routed = only(of('route query'));
      assert.deepEqual([attribute(routed, 'deliveries'), attribute(routed, 'result')], [2, 'routed']);
      const delivered = only(of('deliver query'));
      assert.deepEqual([attribute(delivered, 'links'), attribute(delivered, 'queued')], [1, 1]);
      // Peers are put on different edges where there are two.
      assert.equal(attribute(delivered, 'edge') === attribute(root, 'edge'), form.edges === 1);
      for (const hit of of('deliver hit')) assert.equal(attribute(hit, 'edge'), attribute(root, 'edge'));
      const match = only(of('match'));
      assert.deepEqual(
        ['result', 'files', 'hits'].map((key) => attribute(match, key)),
        ['answered', 1, 1],
      );
      const begun = [root, routed, match].map(({ startTimeUnixNano }) => BigInt(startTimeUnixNano));
      assert.deepEqual(
        begun,
        begun.toSorted((a, b) => (a < b ? -1 : 1)),
      );
    });

    it('a search of a person is one trace, with what its hit went through', () => {
      const call = only(named('/filbert.search.v1.SearchService/Search'));
      assert.deepEqual(
        treeOf(tracesOf(receiver.spans).get(call.traceId) ?? []),
        tree(
          'search_index',
          '/filbert.search.v1.SearchService/Search',
          tree(
            'search_index',
            'search',
            tree(
              'router',
              'route query',
              tree('connections', 'deliver query'),
              tree('router', 'route hit', tree('search_index', 'take hit')),
            ),
          ),
        ),
      );
      const search = only(named('search'));
      assert.deepEqual([attribute(search, 'result'), attribute(search, 'sources')], ['enough', 1]);
    });

    it('an upload and a download are traces that end with their last byte', () => {
      const uploads = named('upload');
      assert.deepEqual([...new Set(uploads.map(serviceOf))], [by('transfers')]);
      assert.deepEqual([...new Set(uploads.map((span) => attribute(span, 'result')))], ['sent']);
      const ranges = uploads.filter((span) => attribute(span, 'bytes') === FILE_BYTES - 1000);
      assert.equal(treeOf(ranges).span, `${by('transfers')}: upload`);
      const fetched = only(named('download'));
      const trace = tracesOf(receiver.spans).get(fetched.traceId) ?? [];
      assert.equal(treeOf(trace).span, `${by('transfers')}: download`);
      assert.deepEqual([attribute(fetched, 'result'), attribute(fetched, 'bytes')], ['completed', FILE_BYTES]);
      const sessions = trace.filter(({ name }) => name === 'fetch from source');
      assert.equal(sessions.length, trace.length - 1);
      assert.ok(sessions.some((span) => attribute(span, 'result') === 'unreachable'));
      assert.equal(
        sessions.reduce((sum, span) => sum + Number(attribute(span, 'bytes')), 0),
        FILE_BYTES,
      );
    });

    it('nothing that was sent names a peer, a GUID, a file or a word that was asked for', () => {
      const guids = [query.guid, sha1, Buffer.from(query.guid, 'hex').toString('base64')];
      for (const secret of [...SECRETS, ...addresses, ...guids, '127.0.0.1']) {
        const body = receiver.bodies.find((each) => each.includes(secret));
        assert.equal(body, undefined, secret);
      }
      assert.ok(receiver.bodies.length > 0);
    });

    it('the log lines of a download carry the ids of its trace', () => {
      const line = logged.find((each) => each.includes('a source was left alone'));
      const { trace_id: traceId, span_id: spanId } = JSON.parse(line ?? '{}') as Record<string, unknown>;
      const { traceId: expected } = only(named('download'));
      assert.equal(traceId, expected);
      assert.ok(receiver.spans.some((span) => span.traceId === expected && span.spanId === spanId));
    });
  });
}
