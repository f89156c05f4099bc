import { transfersV1 } from '@filbert/contracts';
import { MAX_SENTENCE_CHARS } from '../control/control-client.ts';
import { bar } from '../commands/progress-line.ts';
import { bytes, duration, plural, printable, rate } from '../commands/show.ts';

/** Longest path or name of a file that is printed, in characters. */
export const MAX_PATH_CHARS = 1_000;

const { DownloadState } = transfersV1;

const STATE_NAMES: Readonly<Record<transfersV1.DownloadState, string>> = {
  [DownloadState.DOWNLOAD_STATE_UNSPECIFIED]: 'unknown',
  [DownloadState.DOWNLOAD_STATE_QUEUED]: 'queued',
  [DownloadState.DOWNLOAD_STATE_RUNNING]: 'running',
  [DownloadState.DOWNLOAD_STATE_WAITING]: 'waiting',
  [DownloadState.DOWNLOAD_STATE_VERIFYING]: 'verifying',
  [DownloadState.DOWNLOAD_STATE_COMPLETED]: 'completed',
  [DownloadState.DOWNLOAD_STATE_PAUSED]: 'paused',
  [DownloadState.DOWNLOAD_STATE_DISK_FULL]: 'disk-full',
  [DownloadState.DOWNLOAD_STATE_FAILED]: 'failed',
  [DownloadState.DOWNLOAD_STATE_CANCELLED]: 'cancelled',
  [DownloadState.UNRECOGNIZED]: 'unknown',
};

/** "running", "disk-full", … */
export function stateName(state: transfersV1.DownloadState): string {
  return STATE_NAMES[state] ?? 'unknown';
}

/** It does not go on by itself. */
export function hasStopped({ state }: transfersV1.Download): boolean {
  return (
    state === DownloadState.DOWNLOAD_STATE_PAUSED ||
    state === DownloadState.DOWNLOAD_STATE_DISK_FULL ||
    state === DownloadState.DOWNLOAD_STATE_FAILED
  );
}

/** A download as an object for JSON. */
export function downloadObject(download: transfersV1.Download): object {
  return { ...download, state: stateName(download.state) };
}

/** "42.3 %", or "-" while the size is unknown; 100 only when all is there. */
export function percent({ doneBytes, sizeBytes }: transfersV1.Download): string {
  return sizeBytes === 0 ? '-' : `${(Math.floor((doneBytes / sizeBytes) * 1000) / 10).toFixed(1)} %`;
}

/** "1m 2s", or "-" where nobody can say. */
export function timeLeft({ doneBytes, sizeBytes, bytesPerSecond }: transfersV1.Download): string {
  if (sizeBytes === 0 || bytesPerSecond <= 0) return '-';
  return duration(((sizeBytes - doneBytes) / bytesPerSecond) * 1000);
}

/** The reason of a state, printable, with its full stop. */
export function sentence({ reason }: transfersV1.Download): string {
  return printable(reason, MAX_SENTENCE_CHARS);
}

/** How far a download is, in one line. */
export function progressText(download: transfersV1.Download): string {
  const { state, doneBytes, sizeBytes, bytesPerSecond, activeSources, sources, nextAttemptAtMs } = download;
  const done = sizeBytes === 0 ? bytes(doneBytes) : `${bar(doneBytes / sizeBytes)} ${percent(download)}`;
  if (state !== DownloadState.DOWNLOAD_STATE_RUNNING) {
    const next = nextAttemptAtMs > 0 ? `tried again at ${new Date(nextAttemptAtMs).toLocaleTimeString()}` : '';
    const why = [stateName(state), sentence(download)].filter((part) => part !== '').join(': ');
    return [done, why, next].filter((part) => part !== '').join('  ');
  }
  const left = timeLeft(download);
  return [
    done,
    rate(bytesPerSecond),
    ...(left === '-' ? [] : [`${left} left`]),
    `${activeSources} of ${plural(sources.length, 'source')}`,
  ].join('  ');
}
