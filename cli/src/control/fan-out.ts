import { setTimeout as sleep } from 'node:timers/promises';
import { bootstrapV1, connectionsV1, routerV1, searchV1, transfersV1 } from '@filbert/contracts';
import { base32Encode, parseFileTarget } from '@filbert/gnutella';
import {
  callStream,
  callUnary,
  type createRpcClient,
  RpcError,
  rpcService,
  type CallOptions,
  type RpcCall,
  type RpcErrorKind,
  type RpcMethod,
  type RpcService,
} from '@filbert/kit';

/** Longest time that one process may take to answer a unary call, ms: less than callers wait. */
const CHILD_CALL_TIMEOUT_MS = 3_000;
/** Times that a start of a download looks for the worker that has the file, and the pause between two, ms. */
const MAX_START_TRIES = 3;
const START_AGAIN_MS = 100;
/** Code of the error that tells which process does not answer. */
export const SERVICE_AWAY = 'service-away';
/** Failures of one worker after which the others are asked. */
const ASKED_ON = new Set<RpcErrorKind>(['not-found', 'unavailable', 'deadline-exceeded']);

export type RpcClient = ReturnType<typeof createRpcClient>;

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
        const there = reachable(connections);
        const failures: unknown[] = [];
        for (const edge of there) {
          yield* withoutFailures(stream(edge, edges.listLinks, request, whole(call)), call, failures);
        }
        if (failures.length === there.length) throw failures[0];
      },
      async connect(request, call) {
        const edge = await leastLoaded(connections, call);
        // It may wait for the end of the dial.
        return unary(edge, edges.connect, request, whole(call));
      },
      async disconnect(request, call) {
        if (request.edgeId === '' && connections.length > 1) {
          throw new RpcError('invalid-argument', 'the node has several connections processes: name one by edge_id');
        }
        // Each knows its own name, and has none of the others' links.
        const parts = await ofAll(connections, (edge) => unary(edge, edges.disconnect, request, bounded(call)));
        const found = parts.some((part) => part.found);
        if (!found && parts.length < connections.length) throw away('a connections process');
        return { found };
      },
      async getStats(request, call) {
        const parts = await ofAll(connections, (edge) => unary(edge, edges.getStats, request, bounded(call)));
        return { edges: parts.flatMap((part) => part.edges) };
      },
    }),
    rpcService(routerV1.RouterServiceService, {
      async getStats(request, call) {
        const { getStats } = routerV1.RouterServiceService;
        const parts = await ofAll(routers, (router) => unary(router, getStats, request, bounded(call)));
        return { shards: parts.flatMap((part) => part.shards) };
      },
    }),
    rpcService(bootstrapV1.BootstrapServiceService, {
      getFacts: (request, call) =>
        unary(bootstrap, bootstrapV1.BootstrapServiceService.getFacts, request, bounded(call)),
      listHosts: (request, call) =>
        stream(bootstrap, bootstrapV1.BootstrapServiceService.listHosts, request, whole(call)),
      addHost: (request, call) => unary(bootstrap, bootstrapV1.BootstrapServiceService.addHost, request, bounded(call)),
    }),
    searchControl(searchIndex),
    transfersControl(transfers),
  ];
}

function searchControl(searchIndex: ControlledProcess): RpcService {
  const search = searchV1.SearchServiceService;
  return rpcService(search, {
    search: (request, call) => stream(searchIndex, search.search, request, whole(call)),
    lookUp: (request, call) => unary(searchIndex, search.lookUp, request, bounded(call)),
    browse: (request, call) => stream(searchIndex, search.browse, request, whole(call)),
    getStats: (request, call) => unary(searchIndex, search.getStats, request, bounded(call)),
    rescan: (request, call) => stream(searchIndex, search.rescan, request, whole(call)),
    addShare: (request, call) => unary(searchIndex, search.addShare, request, bounded(call)),
    removeShare: (request, call) => unary(searchIndex, search.removeShare, request, bounded(call)),
    listShares: (request, call) => stream(searchIndex, search.listShares, request, whole(call)),
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
        const worker = await workerForDownload(workers, request.target, call);
        try {
          return await unary(worker, transfers.startDownload, request, bounded(call));
        } catch (error) {
          // Somebody else started one of that file since the workers were asked, or one is about to change hands.
          const isTaken = error instanceof RpcError && error.kind === 'already-exists';
          if (!isTaken || tries >= MAX_START_TRIES) throw error;
        }
        await sleep(START_AGAIN_MS, undefined, { signal: call.signal });
      }
    },
    findDownload: (request, call) =>
      ofOwner(workers, (worker) => unary(worker, transfers.findDownload, request, bounded(call))),
    async *watchDownloads(request, call) {
      const there = reachable(workers);
      const failures: unknown[] = [];
      yield* merged(
        there.map((worker) =>
          withoutFailures(stream(worker, transfers.watchDownloads, request, whole(call)), call, failures),
        ),
      );
      if (failures.length === there.length) throw failures[0];
    },
    async listDownloads(request, call) {
      const [parts, orphans] = await Promise.all([
        ofAll(workers, (worker) => unary(worker, transfers.listDownloads, request, bounded(call))),
        othersDownloads(workers, call),
      ]);
      const own = parts.flatMap((part) => part.downloads);
      return { downloads: withoutDoubles([...own, ...orphans]).sort((a, b) => a.createdAtMs - b.createdAtMs) };
    },
    listOthersDownloads: (request, call) =>
      ofOwner(workers, (worker) => unary(worker, transfers.listOthersDownloads, request, bounded(call))),
    pauseDownload: (request, call) =>
      ofHolder(workers, request.id, call, (worker) => unary(worker, transfers.pauseDownload, request, bounded(call))),
    resumeDownload: (request, call) =>
      ofHolder(workers, request.id, call, (worker) => unary(worker, transfers.resumeDownload, request, bounded(call))),
    cancelDownload: (request, call) =>
      ofHolder(workers, request.id, call, (worker) => unary(worker, transfers.cancelDownload, request, bounded(call))),
    async listUploads(request, call) {
      const parts = await ofAll(workers, (worker) => unary(worker, transfers.listUploads, request, bounded(call)));
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
function sha1OfTarget(text: string): string | undefined {
  const target = parseFileTarget(text);
  return target.ok ? base32Encode(target.value.sha1) : undefined;
}

/**
 * The worker that has the file of this target under way, else one that has finished it, which knows whether the file is still
 * there; else the one with the fewest downloads.
 */
async function workerForDownload(
  workers: readonly ControlledProcess[],
  target: string,
  call: RpcCall,
): Promise<ControlledProcess> {
  const { listDownloads } = transfersV1.TransfersServiceService;
  const loads = await ofAll(workers, async (worker) => {
    const { downloads } = await unary(worker, listDownloads, {}, bounded(call));
    return { worker, downloads };
  });
  const sha1 = sha1OfTarget(target);
  const isOfFile = (download: transfersV1.Download): boolean => download.sha1 === sha1;
  const isUnderWay = (download: transfersV1.Download): boolean =>
    isOfFile(download) && download.state !== transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED;
  const { worker } =
    loads.find(({ downloads }) => downloads.some(isUnderWay)) ??
    loads.find(({ downloads }) => downloads.some(isOfFile)) ??
    loads.reduce((best, one) => (one.downloads.length < best.downloads.length ? one : best));
  return worker;
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
async function ofOwner<R>(
  workers: readonly ControlledProcess[],
  ask: (worker: ControlledProcess) => Promise<R>,
): Promise<R> {
  let failure: RpcError | undefined;
  for (const worker of reachable(workers)) {
    try {
      return await ask(worker);
    } catch (error) {
      if (!(error instanceof RpcError) || !ASKED_ON.has(error.kind)) throw error;
      if (failure === undefined || error.kind !== 'not-found') failure = error;
    }
  }
  throw failure ?? new RpcError('unavailable', 'no transfers process answers');
}

/**
 * As `ofOwner`, for a download.
 * @throws RpcError also where it is on record of a worker that does not answer
 */
async function ofHolder<R>(
  workers: readonly ControlledProcess[],
  id: string,
  call: RpcCall,
  ask: (worker: ControlledProcess) => Promise<R>,
): Promise<R> {
  try {
    return await ofOwner(workers, ask);
  } catch (error) {
    const isUnknown = error instanceof RpcError && error.kind === 'not-found';
    const known = isUnknown ? (await othersDownloads(workers, call)).find((download) => download.id === id) : undefined;
    if (known === undefined) throw error;
    throw new RpcError('unavailable', known.reason, { code: SERVICE_AWAY, cause: error });
  }
}

/** The downloads on record of workers other than the one that answers, as those of workers that do not answer. */
async function othersDownloads(workers: readonly ControlledProcess[], call: RpcCall): Promise<transfersV1.Download[]> {
  const { listOthersDownloads } = transfersV1.TransfersServiceService;
  try {
    const { downloads } = await ofOwner(workers, (worker) => unary(worker, listOthersDownloads, {}, bounded(call)));
    return downloads.flatMap(({ worker, download }) => {
      if (download === undefined) return [];
      const isFinished = download.state === transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED;
      const reason = `${worker} has it and does not answer; where it is gone, another worker goes on within half a minute`;
      return [isFinished ? download : { ...download, reason }];
    });
  } catch {
    // The store is away: what the workers themselves tell is all that is known.
    return [];
  }
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

/** Those that take calls. @throws RpcError where there is none */
function reachable(processes: readonly ControlledProcess[]): ControlledProcess[] {
  const found = processes.filter(({ client }) => client !== undefined);
  if (found.length === 0) throw away(processes.map(({ name }) => name).join(', '));
  return found;
}

/** What each process answers, without those that do not. @throws RpcError where none does */
async function ofAll<R>(
  processes: readonly ControlledProcess[],
  ask: (process: ControlledProcess) => Promise<R>,
): Promise<R[]> {
  const answers = await Promise.allSettled(reachable(processes).map(ask));
  const parts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const [first] = answers;
  if (parts.length === 0 && first?.status === 'rejected') throw first.reason;
  return parts;
}

/** The connections process with the fewest ultrapeers: a peer that is dialled becomes one. */
async function leastLoaded(connections: readonly ControlledProcess[], call: RpcCall): Promise<ControlledProcess> {
  const { getStats } = connectionsV1.ConnectionsServiceService;
  const loads = await ofAll(connections, async (edge) => {
    const { edges } = await unary(edge, getStats, {}, bounded(call));
    return { edge, ultrapeers: edges[0]?.ultrapeers ?? 0 };
  });
  return loads.reduce((best, one) => (one.ultrapeers < best.ultrapeers ? one : best)).edge;
}

/** A unary call of one process. @throws RpcError; one that does not answer is named */
async function unary<Q, R>(
  { name, client }: ControlledProcess,
  method: RpcMethod<Q, R, false>,
  request: Q,
  options: CallOptions,
): Promise<R> {
  if (client === undefined) throw away(name);
  try {
    return await callUnary(client, method, request, options);
  } catch (error) {
    const silent = error instanceof RpcError && error.code === 'deadline-exceeded';
    throw silent ? away(name, error) : named(name, error);
  }
}

/** A stream of one process. @throws as `unary` */
async function* stream<Q, R>(
  { name, client }: ControlledProcess,
  method: RpcMethod<Q, R, true>,
  request: Q,
  options: CallOptions,
): AsyncGenerator<R, void, undefined> {
  if (client === undefined) throw away(name);
  try {
    yield* callStream(client, method, request, options);
  } catch (error) {
    throw named(name, error);
  }
}

function away(name: string, cause?: unknown): RpcError {
  return new RpcError('unavailable', `${name} does not answer; it may be starting`, { code: SERVICE_AWAY, cause });
}

/** An error that says which process did not answer; what one answered stays as it is. */
function named(name: string, error: unknown): unknown {
  return error instanceof RpcError && error.code === 'unavailable' ? away(name, error) : error;
}

/** A stream that ends where the process behind it fails, and notes why, unless the caller is the one who ended it. */
async function* withoutFailures<R>(
  stream: AsyncIterable<R>,
  call: RpcCall,
  failures: unknown[],
): AsyncGenerator<R, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    if (call.signal.aborted) throw error;
    failures.push(error);
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
