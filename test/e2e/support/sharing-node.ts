import assert from 'node:assert/strict';
import { bootstrapV1, connectionsV1, searchV1, transfersV1 } from '@filbert/contracts';
import { callStream, callUnary, createRpcClient, parseHostPort } from '@filbert/kit';
import { NodeProcess, type NodeOptions } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';

const CALL = { timeoutMs: 5_000 };
/** One search; a query that comes before the library's table is routed to nobody and is asked again. */
const SEARCH_MS = 8_000;
const { DownloadState } = transfersV1;
const transfers = transfersV1.TransfersServiceService;

type Client = ReturnType<typeof createRpcClient>;

/** What is to be fetched. */
export interface Wanted {
  /** Base32. */
  readonly sha1: string;
  readonly sizeBytes: number;
  readonly name: string;
}

/** A whole node, asked over gRPC to search, to fetch, and how it is doing. */
export class SharingNode {
  readonly node: NodeProcess;
  readonly client: Client;
  #searches = 0;

  private constructor(node: NodeProcess) {
    this.node = node;
    const address = parseHostPort(String(node.control()['control']));
    assert.ok(address);
    this.client = createRpcClient({ address });
  }

  static async start(options: NodeOptions = {}): Promise<SharingNode> {
    return new SharingNode(await NodeProcess.start(options));
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.node.stop();
  }

  /** Who the node is, and what it knows of itself. */
  facts(): Promise<bootstrapV1.GetFactsResponse> {
    return callUnary(this.client, bootstrapV1.BootstrapServiceService.getFacts, {}, CALL);
  }

  /** Waits until so many files are shared, hashed and known to the whole node. */
  async shares(files: number, timeoutMs = 20_000): Promise<void> {
    await waitFor(
      `${files} shared files`,
      async () => {
        return (await this.facts()).sharedFiles === files;
      },
      timeoutMs,
    );
  }

  /** Waits until so many ultrapeers are linked. */
  async ultrapeers(count: number): Promise<void> {
    await waitFor(
      `${count} ultrapeers`,
      async () => {
        const { edges } = await callUnary(this.client, connectionsV1.ConnectionsServiceService.getStats, {}, CALL);
        return edges.reduce((sum, edge) => sum + edge.ultrapeers, 0) === count;
      },
      20_000,
    );
  }

  /** Searches the network until a source is told that `accept` takes. */
  async find(query: string, accept: (source: searchV1.Source, sha1: string) => boolean): Promise<searchV1.Source> {
    const anew = (): string => spelledAnew(query, this.#searches++);
    return waitFor(`a source for ${query}`, () => this.#searchOnce(anew(), accept), 30_000);
  }

  async #searchOnce(query: string, accept: (source: searchV1.Source, sha1: string) => boolean) {
    const request = { query, enough: 1, timeoutMs: SEARCH_MS };
    const answers = callStream(this.client, searchV1.SearchServiceService.search, request, { timeoutMs: 15_000 });
    for await (const { file, source } of answers) {
      if (file !== undefined && source !== undefined && accept(source, file.sha1)) return source;
    }
    return undefined;
  }

  /** Starts a download of a file. @returns its id */
  fetch({ sha1, sizeBytes, name }: Wanted, sources: readonly transfersV1.DownloadSource[]): Promise<string> {
    return this.begin({ target: `urn:sha1:${sha1}`, sources: [...sources], name, sizeBytes });
  }

  /** Starts a download, without a search for sources before it. @returns its id */
  async begin(request: transfersV1.StartDownloadRequest): Promise<string> {
    const { download } = await callUnary(this.client, transfers.startDownload, request, CALL);
    assert.ok(download);
    return download.id;
  }

  /** What is known of a download; undefined where there is none, or while its worker is away. */
  async download(id: string): Promise<transfersV1.Download | undefined> {
    try {
      const { downloads } = await callUnary(this.client, transfers.listDownloads, {}, CALL);
      return downloads.find((one) => one.id === id);
    } catch {
      return undefined;
    }
  }

  /** Waits until the file is there. @returns what is known of the download @throws Error where it ended otherwise */
  async completed(id: string, timeoutMs = 30_000): Promise<transfersV1.Download> {
    return waitFor(
      'the download',
      async () => {
        const known = await this.download(id);
        if (known?.state === DownloadState.DOWNLOAD_STATE_COMPLETED) return known;
        if (known?.state === DownloadState.DOWNLOAD_STATE_FAILED) throw new Error(`it failed: ${known.reason}`);
        return undefined;
      },
      timeoutMs,
    );
  }

  /** As of the node. */
  metric(name: string, labels = ''): Promise<number> {
    return this.node.metric(name, labels);
  }
}

/** The same words in other letters each time: what an ultrapeer has asked already within a minute is dropped. */
export function spelledAnew(query: string, time: number): string {
  if (query.startsWith('urn:')) return query;
  return [...query].map((letter, at) => ((time >> at) & 1 ? letter.toUpperCase() : letter)).join('');
}
