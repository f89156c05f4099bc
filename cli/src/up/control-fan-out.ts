import { setTimeout as sleep } from 'node:timers/promises';
import { bootstrapV1, connectionsV1, routerV1, searchV1, transfersV1 } from '@filbert/contracts';
import { base32Encode } from '@filbert/gnutella';
import {
  callStream,
  callUnary,
  RpcError,
  rpcService,
  type RpcCall,
  type RpcErrorKind,
  type RpcService,
} from '@filbert/kit';
import { readTarget } from '../download/target.ts';
import type { RpcClient } from './service-child.ts';

/** Longest time that one process may take to answer a unary call, ms: less than callers wait. */
const CHILD_CALL_TIMEOUT_MS = 3_000;
/** Times that a start of a download looks for the worker that has the file, and the pause between two, ms. */
const MAX_START_TRIES = 3;
const START_AGAIN_MS = 100;
/** Failures of one worker after which the others are asked. */
const ASKED_ON = new Set<RpcErrorKind>(['not-found', 'unavailable', 'deadline-exceeded']);

/** A service process as control reaches it. */
export interface ControlledProcess {
  readonly name: string;
  /** Undefined while it takes no calls. */
  readonly client: RpcClient | undefined;
}

export interface ControlledNode {
  readonly bootstrap: ControlledProcess;
  readonly routers: readonly ControlledProcess[];
  /** By edge id. */
  readonly connections: readonly ControlledProcess[];
  readonly searchIndex: ControlledProcess;
  readonly transfers: readonly ControlledProcess[];
}

/**
 * Control of a node made of several processes: each call goes to the process, or to all of the processes, that it is about.
 * Of a list or a sum, what a process that is away would have said is left out; a call to one that is away fails as
 * `unavailable`.
 */
export function fanOutControl({
  bootstrap,
  routers,
  connections,
  searchIndex,
  transfers,
}: ControlledNode): RpcService[] {
  const edges = connectionsV1.ConnectionsServiceService;
  return [
    rpcService(edges, {
      async *listLinks(request, call) {
        for (const client of clientsOf(connections)) {
          yield* withoutFailures(callStream(client, edges.listLinks, request, whole(call)), call);
        }
      },
      async connect(request, call) {
        const client = await leastLoaded(connections, call);
        return callUnary(client, edges.connect, request, bounded(call));
      },
      async disconnect(request, call) {
        if (request.edgeId === '' && connections.length > 1) {
          throw new RpcError('invalid-argument', 'the node has several connections processes: name one by edge_id');
        }
        const edge = connections.find(({ name }) => request.edgeId === '' || name === request.edgeId);
        if (edge === undefined) return { found: false };
        return callUnary(clientOf(edge), edges.disconnect, request, bounded(call));
      },
      async getStats(request, call) {
        const parts = await ofAll(connections, (client) => callUnary(client, edges.getStats, request, bounded(call)));
        return { edges: parts.flatMap((part) => part.edges) };
      },
    }),
    rpcService(routerV1.RouterServiceService, {
      async getStats(request, call) {
        const { getStats } = routerV1.RouterServiceService;
        const parts = await ofAll(routers, (client) => callUnary(client, getStats, request, bounded(call)));
        return { shards: parts.flatMap((part) => part.shards) };
      },
    }),
    rpcService(bootstrapV1.BootstrapServiceService, {
      getFacts: (request, call) =>
        callUnary(clientOf(bootstrap), bootstrapV1.BootstrapServiceService.getFacts, request, bounded(call)),
      listHosts: (request, call) =>
        callStream(clientOf(bootstrap), bootstrapV1.BootstrapServiceService.listHosts, request, whole(call)),
      addHost: (request, call) =>
        callUnary(clientOf(bootstrap), bootstrapV1.BootstrapServiceService.addHost, request, bounded(call)),
    }),
    searchControl(searchIndex),
    transfersControl(transfers),
  ];
}

function searchControl(searchIndex: ControlledProcess): RpcService {
  const search = searchV1.SearchServiceService;
  return rpcService(search, {
    search: (request, call) => callStream(clientOf(searchIndex), search.search, request, whole(call)),
    lookUp: (request, call) => callUnary(clientOf(searchIndex), search.lookUp, request, bounded(call)),
    browse: (request, call) => callStream(clientOf(searchIndex), search.browse, request, whole(call)),
    getStats: (request, call) => callUnary(clientOf(searchIndex), search.getStats, request, bounded(call)),
    rescan: (request, call) => callStream(clientOf(searchIndex), search.rescan, request, whole(call)),
    addShare: (request, call) => callUnary(clientOf(searchIndex), search.addShare, request, bounded(call)),
    removeShare: (request, call) => callUnary(clientOf(searchIndex), search.removeShare, request, bounded(call)),
    listShares: (request, call) => callStream(clientOf(searchIndex), search.listShares, request, whole(call)),
  });
}

/**
 * Every worker has downloads of its own. A new one goes to the worker with the fewest, unless another has that file under
 * way: it gets the sources then.
 */
function transfersControl(workers: readonly ControlledProcess[]): RpcService {
  const transfers = transfersV1.TransfersServiceService;
  return rpcService(transfers, {
    async startDownload(request, call) {
      for (let tries = 1; ; tries++) {
        const client = await workerForDownload(workers, request.target, call);
        try {
          return await callUnary(client, transfers.startDownload, request, bounded(call));
        } catch (error) {
          // Somebody else started one of that file since the workers were asked, or one is about to change hands.
          const isTaken = error instanceof RpcError && error.kind === 'already-exists';
          if (!isTaken || tries >= MAX_START_TRIES) throw error;
        }
        await sleep(START_AGAIN_MS, undefined, { signal: call.signal });
      }
    },
    watchDownloads: (request, call) =>
      merged(
        clientsOf(workers).map((client) =>
          withoutFailures(callStream(client, transfers.watchDownloads, request, whole(call)), call),
        ),
      ),
    async listDownloads(request, call) {
      const parts = await ofAll(workers, (client) =>
        callUnary(client, transfers.listDownloads, request, bounded(call)),
      );
      return { downloads: withoutDoubles(parts.flatMap((part) => part.downloads)) };
    },
    pauseDownload: (request, call) =>
      ofOwner(workers, (client) => callUnary(client, transfers.pauseDownload, request, bounded(call))),
    resumeDownload: (request, call) =>
      ofOwner(workers, (client) => callUnary(client, transfers.resumeDownload, request, bounded(call))),
    cancelDownload: (request, call) =>
      ofOwner(workers, (client) => callUnary(client, transfers.cancelDownload, request, bounded(call))),
    async listUploads(request, call) {
      const parts = await ofAll(workers, (client) => callUnary(client, transfers.listUploads, request, bounded(call)));
      return {
        uploads: parts.flatMap((part) => part.uploads),
        slots: parts.reduce((sum, part) => sum + part.slots, 0),
        freeSlots: parts.reduce((sum, part) => sum + part.freeSlots, 0),
        queued: parts.reduce((sum, part) => sum + part.queued, 0),
      };
    },
  });
}

/** Base32; undefined for what no worker would take. */
function sha1OfTarget(target: string): string | undefined {
  try {
    return base32Encode(readTarget(target).sha1);
  } catch {
    return undefined;
  }
}

/** The worker that has the file of this target under way, else the one with the fewest downloads. */
async function workerForDownload(
  workers: readonly ControlledProcess[],
  target: string,
  call: RpcCall,
): Promise<RpcClient> {
  const { listDownloads } = transfersV1.TransfersServiceService;
  const loads = await ofAll(workers, async (client) => {
    const { downloads } = await callUnary(client, listDownloads, {}, bounded(call));
    return { client, downloads };
  });
  const sha1 = sha1OfTarget(target);
  const isUnderWay = (download: transfersV1.Download): boolean =>
    download.sha1 === sha1 && download.state !== transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED;
  const { client } =
    loads.find(({ downloads }) => downloads.some(isUnderWay)) ??
    loads.reduce((best, one) => (one.downloads.length < best.downloads.length ? one : best));
  return client;
}

/** Each download once: a worker that was taken for dead may not have noticed yet that another has its downloads. */
function withoutDoubles(downloads: readonly transfersV1.Download[]): transfersV1.Download[] {
  const byId = new Map<string, transfersV1.Download>();
  for (const download of downloads) {
    const isFinished = download.state === transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED;
    if (isFinished || !byId.has(download.id)) byId.set(download.id, download);
  }
  return [...byId.values()];
}

/**
 * The answer of the worker that knows what the call is about. One that does not answer may have lost its downloads to
 * another: the others are asked all the same.
 * @throws RpcError of the last one where none does, rather of one that did not answer
 */
async function ofOwner<R>(workers: readonly ControlledProcess[], ask: (client: RpcClient) => Promise<R>): Promise<R> {
  let failure: RpcError | undefined;
  for (const client of clientsOf(workers)) {
    try {
      return await ask(client);
    } catch (error) {
      if (!(error instanceof RpcError) || !ASKED_ON.has(error.kind)) throw error;
      if (failure === undefined || error.kind !== 'not-found') failure = error;
    }
  }
  throw failure ?? new RpcError('unavailable', 'no transfers process answers');
}

/** What several streams yield, as it comes; ends when all have ended. */
async function* merged<R>(streams: readonly AsyncGenerator<R, void, undefined>[]): AsyncGenerator<R, void, undefined> {
  type Turn = { readonly stream: AsyncGenerator<R, void, undefined>; readonly result: IteratorResult<R, void> };
  const next = async (stream: AsyncGenerator<R, void, undefined>): Promise<Turn> => ({
    stream,
    result: await stream.next(),
  });
  const waiting = new Map<AsyncGenerator<R, void, undefined>, Promise<Turn>>();
  const wait = (stream: AsyncGenerator<R, void, undefined>): void => {
    const turn = next(stream);
    // While the reader is busy nobody looks at it: it may fail unseen, and does so again when it is looked at.
    turn.catch(() => undefined);
    waiting.set(stream, turn);
  };
  for (const stream of streams) wait(stream);
  try {
    while (waiting.size > 0) {
      const { stream, result } = await Promise.race(waiting.values());
      if (result.done === true) {
        waiting.delete(stream);
        continue;
      }
      wait(stream);
      yield result.value;
    }
  } finally {
    for (const stream of waiting.keys()) void stream.return();
  }
}

function clientOf({ name, client }: ControlledProcess): RpcClient {
  if (client === undefined) throw new RpcError('unavailable', `${name} is being started again`);
  return client;
}

/** The clients of those that take calls. @throws RpcError where there is none */
function clientsOf(processes: readonly ControlledProcess[]): RpcClient[] {
  const clients = processes.flatMap(({ client }) => client ?? []);
  if (clients.length > 0) return clients;
  throw new RpcError('unavailable', `${processes.map(({ name }) => name).join(', ')}: being started again`);
}

/** What each process answers, without those that do not. @throws RpcError where none does */
async function ofAll<R>(processes: readonly ControlledProcess[], ask: (client: RpcClient) => Promise<R>): Promise<R[]> {
  const answers = await Promise.allSettled(clientsOf(processes).map(ask));
  const parts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const [first] = answers;
  if (parts.length === 0 && first?.status === 'rejected') throw first.reason;
  return parts;
}

/** The connections process with the fewest ultrapeers: a peer that is dialled becomes one. */
async function leastLoaded(connections: readonly ControlledProcess[], call: RpcCall): Promise<RpcClient> {
  const { getStats } = connectionsV1.ConnectionsServiceService;
  const loads = await ofAll(connections, async (client) => {
    const { edges } = await callUnary(client, getStats, {}, bounded(call));
    return { client, ultrapeers: edges[0]?.ultrapeers ?? 0 };
  });
  return loads.reduce((best, one) => (one.ultrapeers < best.ultrapeers ? one : best)).client;
}

/** A stream that ends where the process behind it fails, unless the caller is the one who ended it. */
async function* withoutFailures<R>(stream: AsyncIterable<R>, call: RpcCall): AsyncGenerator<R, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    if (call.signal.aborted) throw error;
  }
}

/** A unary call of one process within the caller's own time. */
function bounded(call: RpcCall): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: Math.min(CHILD_CALL_TIMEOUT_MS, remainingMs(call)), signal: call.signal };
}

function whole(call: RpcCall): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: remainingMs(call), signal: call.signal };
}

function remainingMs(call: RpcCall): number {
  return Math.max(1, call.deadlineMs - Date.now());
}
