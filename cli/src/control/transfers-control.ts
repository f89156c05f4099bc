import { setTimeout as sleep } from 'node:timers/promises';
import { transfersV1 } from '@filbert/contracts';
import { base32Encode, parseFileTarget } from '@filbert/gnutella';
import { RpcError, rpcService, type RpcCall, type RpcService } from '@filbert/kit';
import {
  bounded,
  merged,
  ofAll,
  ofOwner,
  reachable,
  SERVICE_AWAY,
  stream,
  unary,
  whole,
  withoutFailures,
} from './asking.ts';
import type { ControlledProcess } from './asking.ts';

/** Times that a start of a download looks for the worker that has the file, and the pause between two, ms. */
const MAX_START_TRIES = 3;
const START_AGAIN_MS = 100;

/**
 * Every worker has downloads of its own. A new one goes to the worker with the fewest, unless another has that file under
 * way: it gets the sources then.
 */
export function transfersControl(workers: readonly ControlledProcess[]): RpcService {
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
