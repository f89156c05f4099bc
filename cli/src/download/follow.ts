import { setTimeout as sleep } from 'node:timers/promises';
import { transfersV1 } from '@filbert/contracts';
import { callStream, RpcError, type RpcErrorKind } from '@filbert/kit';
import type { Client, Reopen } from '../control/control-client.ts';
import { CommandError, ExitCode } from '../exit-codes.ts';

/** One watch is open this long at most, in ms; another follows. */
const WATCH_MS = 3_600_000;
/** A watch that does not tell of the download within this time is opened anew, in ms. */
const FIRST_MESSAGE_MS = 5_000;
/** Pause before that, in ms. */
const RETRY_MS = 500;
/** The node may be away for this long, in ms: a transfers process that died is started again meanwhile. */
const AWAY_MS = 30_000;
/** Failures that a node which starts again gives. */
const PASSING: ReadonlySet<RpcErrorKind> = new Set(['unavailable', 'deadline-exceeded', 'cancelled']);

const { DownloadState } = transfersV1;
const ENDED: ReadonlySet<transfersV1.DownloadState> = new Set([
  DownloadState.DOWNLOAD_STATE_COMPLETED,
  DownloadState.DOWNLOAD_STATE_DISK_FULL,
  DownloadState.DOWNLOAD_STATE_FAILED,
  DownloadState.DOWNLOAD_STATE_CANCELLED,
]);

export interface FollowOptions {
  readonly signal: AbortSignal;
  readonly onChange: (download: transfersV1.Download) => void;
  /** The node does not answer and is asked again. */
  readonly onAway: () => void;
  readonly reopen: Reopen;
}

/**
 * Follows a download until it has ended one way or the other, through restarts of the node.
 * @returns how it ended; undefined where the signal aborted before
 * @throws CommandError where the node stays away, RpcError where it refuses
 */
export async function followDownload(
  client: Client,
  id: string,
  { signal, onChange, onAway, reopen }: FollowOptions,
): Promise<transfersV1.Download | undefined> {
  let lostAtMs: number | undefined;
  let asked = client;
  for (;;) {
    lostAtMs ??= Date.now();
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(), FIRST_MESSAGE_MS);
    let isAway = true;
    try {
      const changes = callStream(
        asked,
        transfersV1.TransfersServiceService.watchDownloads,
        { ids: [id] },
        { timeoutMs: WATCH_MS, signal: AbortSignal.any([signal, silent.signal]) },
      );
      for await (const { download } of changes) {
        if (download?.id !== id) continue;
        clearTimeout(timer);
        lostAtMs = undefined;
        onChange(download);
        if (ENDED.has(download.state)) return download;
      }
    } catch (error) {
      if (!signal.aborted && !(error instanceof RpcError && PASSING.has(error.kind))) throw error;
      isAway = error instanceof RpcError && error.kind !== 'deadline-exceeded';
    } finally {
      clearTimeout(timer);
    }
    if (signal.aborted) return undefined;
    if (lostAtMs !== undefined && Date.now() - lostAtMs > AWAY_MS) {
      throw new CommandError(
        ExitCode.unavailable,
        'the node does not answer any more; when it is back, "filbert downloads" shows how far the download is',
      );
    }
    if (isAway) {
      onAway();
      asked = reopen();
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}
