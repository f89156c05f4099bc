import { setTimeout as sleep } from 'node:timers/promises';
import { base32Encode, formatPeerAddress, guidFromHex, parsePeerAddress } from '@filbert/gnutella';
import { transfersV1 } from '@filbert/contracts';
import { RpcError, rpcService, type RpcService } from '@filbert/kit';
import type { Download, DownloadState } from './download/download.ts';
import type { TransfersErrorCode } from './download/downloads.ts';
import { MAX_SOURCES } from './download/source-pool.ts';
import type { Source, SourceFacts } from './download/source.ts';
import type { Upload } from './http/file-uploads.ts';
import type { JobStoreErrorCode, StoredJob } from './jobs/job-store.ts';
import type { Transfers } from './transfers.ts';

/** A watcher is told of changes this often at most, in ms. */
const WATCH_INTERVAL_MS = 250;
/** Ids that one watcher may name. */
const MAX_WATCHED_IDS = 1_000;

const ERRORS = {
  'bad-target': 'invalid-argument',
  'too-many-downloads': 'resource-exhausted',
  'no-such-download': 'not-found',
  'download-is-finished': 'failed-precondition',
  'download-exists': 'already-exists',
  'jobs-unavailable': 'unavailable',
  'download-taken-away': 'not-found',
} as const satisfies Record<TransfersErrorCode | JobStoreErrorCode, string>;

const STATES: Readonly<Record<DownloadState, transfersV1.DownloadState>> = {
  queued: transfersV1.DownloadState.DOWNLOAD_STATE_QUEUED,
  running: transfersV1.DownloadState.DOWNLOAD_STATE_RUNNING,
  waiting: transfersV1.DownloadState.DOWNLOAD_STATE_WAITING,
  verifying: transfersV1.DownloadState.DOWNLOAD_STATE_VERIFYING,
  completed: transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED,
  paused: transfersV1.DownloadState.DOWNLOAD_STATE_PAUSED,
  'disk-full': transfersV1.DownloadState.DOWNLOAD_STATE_DISK_FULL,
  failed: transfersV1.DownloadState.DOWNLOAD_STATE_FAILED,
  cancelled: transfersV1.DownloadState.DOWNLOAD_STATE_CANCELLED,
};

/** gRPC control of transfers. */
export function transfersControl(transfers: Transfers): RpcService {
  const { downloads } = transfers;
  return rpcService(
    transfersV1.TransfersServiceService,
    {
      async startDownload({ target, sources, name, sizeBytes }) {
        if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
          throw new RpcError('invalid-argument', 'size_bytes must be a whole number, 0 where unknown');
        }
        if (sources.length > MAX_SOURCES) {
          throw new RpcError('invalid-argument', `at most ${MAX_SOURCES} sources can be given`);
        }
        const facts = sources.map((source) => sourceFacts(transfers, source));
        const { download, created } = await downloads.add({ target, sources: facts, name, sizeBytes });
        return { download: describeDownload(download), created };
      },
      async findDownload({ target }) {
        return { download: describeDownload(await downloads.known(target)) };
      },
      async *watchDownloads({ ids }, { signal }) {
        if (ids.length > MAX_WATCHED_IDS) throw new RpcError('invalid-argument', 'too many ids');
        const wanted = new Set(ids);
        const seen = new Map<string, number>();
        for (;;) {
          for (const download of downloads.all()) {
            if (wanted.size > 0 && !wanted.has(download.id)) continue;
            if (seen.get(download.id) === download.version) continue;
            seen.set(download.id, download.version);
            yield { download: describeDownload(download) };
          }
          for (const id of seen.keys()) {
            if (downloads.all().some((download) => download.id === id)) continue;
            seen.delete(id);
            // It goes on in another worker, which tells of it.
            if (downloads.wasTakenAway(id)) continue;
            const state = transfersV1.DownloadState.DOWNLOAD_STATE_CANCELLED;
            yield { download: { ...transfersV1.Download.create(), id, state } };
          }
          await sleep(WATCH_INTERVAL_MS, undefined, { signal });
        }
      },
      listDownloads() {
        return { downloads: downloads.all().map(describeDownload) };
      },
      async listOthersDownloads() {
        const jobs = await transfers.othersDownloads();
        return { downloads: jobs.map(({ worker, job }) => ({ worker, download: describeStored(job) })) };
      },
      async pauseDownload({ id }) {
        return { download: describeDownload(await downloads.pause(id)) };
      },
      resumeDownload({ id }) {
        return { download: describeDownload(downloads.resume(id)) };
      },
      async cancelDownload({ id }) {
        return { download: describeDownload(await downloads.cancel(id)) };
      },
      listUploads() {
        const { slots, uploads } = transfers;
        return {
          uploads: [...uploads.uploads].map(describeUpload),
          slots: slots.total,
          freeSlots: slots.free,
          queued: slots.queued,
        };
      },
    },
    { errors: ERRORS },
  );
}

function sourceFacts(transfers: Transfers, source: transfersV1.DownloadSource): SourceFacts {
  const facts = {
    address: source.address === '' ? undefined : parsePeerAddress(source.address),
    serventGuid: source.serventGuid === '' ? undefined : guidFromHex(source.serventGuid),
    index: source.index,
    firewalled: source.firewalled,
  };
  const broken =
    (source.address !== '' && facts.address === undefined) ||
    (source.serventGuid !== '' && facts.serventGuid === undefined);
  if (broken)
    throw new RpcError('invalid-argument', 'a source needs IP:PORT, a servent GUID of 32 hex digits, or both');
  if (!facts.firewalled && !transfers.isUsableSource(facts)) {
    throw new RpcError('invalid-argument', `${source.address} is not an address of a peer`);
  }
  return facts;
}

function describeDownload(download: Download): transfersV1.Download {
  const sources = [...download.sources()];
  return {
    id: download.id,
    state: STATES[download.state],
    reason: download.reason,
    name: download.name,
    sha1: base32Encode(download.sha1),
    sizeBytes: download.sizeBytes ?? 0,
    doneBytes: download.doneBytes,
    bytesPerSecond: Math.round(download.bytesPerSecond),
    path: download.path,
    activeSources: sources.filter(({ active }) => active).length,
    nextAttemptAtMs: download.nextAttemptAtMs,
    createdAtMs: download.createdAtMs,
    finishedAtMs: download.finishedAtMs,
    sources: sources.map(describeSource),
  };
}

/** A download of another worker, so far as that noted it. */
function describeStored(job: StoredJob): transfersV1.Download {
  return transfersV1.Download.fromPartial({
    id: job.id,
    state: STATES[job.state === 'active' ? 'waiting' : job.state],
    reason: job.reason,
    name: job.name,
    sha1: base32Encode(job.sha1),
    sizeBytes: job.sizeBytes ?? 0,
    doneBytes:
      job.state === 'completed'
        ? (job.sizeBytes ?? 0)
        : job.ranges.reduce((sum, { start, end }) => sum + end - start, 0),
    path: job.state === 'completed' ? job.path : '',
    createdAtMs: job.createdAtMs,
    finishedAtMs: job.finishedAtMs,
  });
}

function describeSource(source: Source): transfersV1.SourceStatus {
  const { address } = source.facts;
  return {
    name: address === undefined ? source.key : formatPeerAddress(address),
    bytes: source.bytes,
    active: source.active,
    blame: source.blame ?? '',
    givenUp: source.givenUp,
    restUntilMs: source.restUntilMs,
    queuePosition: source.queuePosition,
  };
}

function describeUpload(upload: Upload): transfersV1.Upload {
  return {
    address: formatPeerAddress(upload.connection.remote),
    userAgent: upload.userAgent,
    name: upload.file.name,
    sha1: base32Encode(upload.file.sha1),
    firstByte: upload.span.first,
    lastByte: upload.span.last,
    sentBytes: upload.sentBytes,
    startedAtMs: upload.startedAtMs,
    pushed: upload.pushed,
  };
}
