import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapV1, connectionsV1, searchV1, transfersV1 } from '@filbert/contracts';
import { base32Encode } from '@filbert/gnutella';
import { callStream, callUnary, createRpcClient, parseHostPort } from '@filbert/kit';
import { NodeProcess, runFilbert } from '../support/node-process.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { waitFor } from '../support/wait-for.ts';
import { FORMS } from './support/forms.ts';
import { spelledAnew } from './support/sharing-node.ts';

const CALL = { timeoutMs: 5_000 };
const DOWNLOAD_TIMEOUT_MS = 30_000;
const HIT_TIMEOUT_MS = 500;
/** GGEP WH with the value 1. */
const WHATS_NEW_GGEP = Buffer.from('c38257484101', 'hex');
/** A change of the library is in the table of every ultrapeer after this time. */
const TABLE_TIMEOUT_MS = 20_000;
const { DOWNLOAD_STATE_COMPLETED } = transfersV1.DownloadState;

type Client = ReturnType<typeof createRpcClient>;

function clientOf(node: NodeProcess): Client {
  const address = parseHostPort(String(node.control()['control']));
  assert.ok(address);
  return createRpcClient({ address });
}

/** How the nodes listen: behind a wildcard they have to find out by themselves where peers reach them. */
const LISTENS = [
  { how: '', host: '127.0.0.1', args: [], from: 'listening' },
  { how: ', listening on all addresses', host: '0.0.0.0', args: ['--allow-private'], from: 'reached' },
];
const CASES = FORMS.flatMap((form) => LISTENS.map((listen) => ({ form, ...listen })));

for (const { form, how, host, args, from } of CASES) {
  describe(`e2e, ${form.name}${how}: a file shared by one node is found and fetched by another`, function () {
    this.timeout(60_000);
    const content = randomBytes(3_000_000);
    const sha1 = base32Encode(createHash('sha1').update(content).digest());
    let folder: string;
    let sharer: NodeProcess;
    let seeker: NodeProcess;
    let client: Client;
    let sharersControl: Client;
    let searches = 0;
    /** Where the sharer is reached. */
    let sharersAddress: string;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'filbert-share-'));
      writeFileSync(join(folder, 'quiet river recording.bin'), content);
      sharer = await NodeProcess.start({ ...form.options, listen: { host }, args: [...args, '--share', folder] });
      sharersAddress = `127.0.0.1:${sharer.gnutella.port}`;
      const seekersArgs = [...args, '--connect', sharersAddress];
      seeker = await NodeProcess.start({ ...form.options, listen: { host }, args: seekersArgs });
      client = clientOf(seeker);
      sharersControl = clientOf(sharer);
      const { getStats } = connectionsV1.ConnectionsServiceService;
      await waitFor('the link between the nodes', async () => {
        const { edges } = await callUnary(client, getStats, {}, CALL);
        return edges.some(({ ultrapeers }) => ultrapeers > 0);
      });
      await waitFor('the library to be hashed', async () => {
        const facts = await callUnary(sharersControl, bootstrapV1.BootstrapServiceService.getFacts, {}, CALL);
        return facts.sharedFiles === 1;
      });
    });
    after(async () => {
      client.close();
      sharersControl.close();
      await Promise.all([sharer.stop(), seeker.stop()]);
      rmSync(folder, { recursive: true, force: true });
    });

    /** Searches until it is found: a query that comes before the library's table is routed to nobody. */
    async function find(query: string): Promise<searchV1.Source> {
      return waitFor(`a source for ${query}`, () => searchOnce(spelledAnew(query, searches++)), 20_000);
    }

    async function searchOnce(query: string): Promise<searchV1.Source | undefined> {
      const request = { query, enough: 1, timeoutMs: 2_000 };
      const answers = callStream(client, searchV1.SearchServiceService.search, request, { timeoutMs: 5_000 });
      for await (const { file, source } of answers) {
        if (file?.sha1 === sha1 && source !== undefined) return source;
      }
      return undefined;
    }

    async function fetchFrom(source: transfersV1.DownloadSource, name: string): Promise<Buffer> {
      const { startDownload, listDownloads } = transfersV1.TransfersServiceService;
      const request = { target: `urn:sha1:${sha1}`, sources: [source], name, sizeBytes: content.length };
      const { download } = await callUnary(client, startDownload, request, CALL);
      const done = await waitFor(
        'the download',
        async () => {
          const { downloads } = await callUnary(client, listDownloads, {}, CALL);
          const found = downloads.find(({ id }) => id === download?.id);
          return found?.state === DOWNLOAD_STATE_COMPLETED ? found : undefined;
        },
        DOWNLOAD_TIMEOUT_MS,
      );
      const fetched = readFileSync(done.path);
      const { cancelDownload } = transfersV1.TransfersServiceService;
      await callUnary(client, cancelDownload, { id: done.id }, CALL);
      rmSync(done.path);
      return fetched;
    }

    it('is offered at the address that peers reach, and "filbert status" tells where that is from', async () => {
      const facts = await waitFor('the address', async () => {
        const told = await callUnary(sharersControl, bootstrapV1.BootstrapServiceService.getFacts, {}, CALL);
        return told.ownAddress === '' || told.firewalled ? undefined : told;
      });
      assert.deepEqual([facts.ownAddress, facts.ownAddressFrom], [sharersAddress, from]);
      const status = await runFilbert(['status', '--data', sharer.dataDir]);
      assert.match(status.stdout, new RegExp(`^own address +${sharersAddress} \\(`, 'm'));
    });

    it('is in the table that ultrapeers get: its words, their prefixes and its hash', async () => {
      const { host: listened, port } = sharer.gnutella;
      const peer = await RawPeer.connect({
        host: listened === '0.0.0.0' ? '127.0.0.1' : listened,
        port,
        role: 'ultrapeer',
      });
      const names = ['quiet', 'river', 'recording', 'recordi', `urn:sha1:${sha1}`];
      await peer.waitTable((table) => names.every((name) => table.has(name)), TABLE_TIMEOUT_MS);
      await peer.waitTable((table) => !table.has('pomegranate') && !table.has(`urn:sha1:${'A'.repeat(32)}`));
      await peer.close();
    });

    it('is told to who asks what is new', async () => {
      const { port } = sharer.gnutella;
      const peer = await RawPeer.connect({ host: '127.0.0.1', port, role: 'ultrapeer' });
      const hit = await waitFor('a hit', () => {
        const { guid } = peer.sendQuery({ text: 'WhatIsNewXOXO', extension: WHATS_NEW_GGEP, ttl: 2 });
        return peer.nextOf('hit', guid, HIT_TIMEOUT_MS).catch(() => undefined);
      });
      assert.ok(hit.payload.includes('quiet river recording.bin'));
      await peer.close();
    });

    it('is found by words and by hash, with an address that serves it', async () => {
      const byWords = await find('recording river');
      assert.equal(byWords.name, 'quiet river recording.bin');
      assert.equal(byWords.size, content.length);
      assert.equal(`${byWords.address}:${byWords.port}`, sharersAddress);
      assert.equal(byWords.vendor, 'FLBT');
      const byHash = await find(`urn:sha1:${sha1}`);
      assert.equal(byHash.servent, byWords.servent);
    });

    it('is served on the Gnutella port, ranges included', async () => {
      const response = await fetch(`http://${sharersAddress}/uri-res/N2R?urn:sha1:${sha1}`, {
        headers: { range: 'bytes=1000000-1000999' },
      });
      assert.equal(response.status, 206);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), content.subarray(1_000_000, 1_001_000));
    });

    it('is fetched from that address byte for byte', async () => {
      const { address, port, servent, index } = await find('quiet river');
      const source = { address: `${address}:${port}`, serventGuid: servent, index, firewalled: false };
      assert.ok((await fetchFrom(source, 'direct.bin')).equals(content));
    });

    it('is fetched by PUSH byte for byte where only the servent GUID of the sharer is known', async () => {
      const { servent, index } = await find('recording quiet');
      const source = { address: '', serventGuid: servent, index, firewalled: true };
      assert.ok((await fetchFrom(source, 'pushed.bin')).equals(content));
    });
  });
}
