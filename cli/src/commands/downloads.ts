import { transfersV1 } from '@filbert/contracts';
import { callStream, callUnary, type FlagValues } from '@filbert/kit';
import { downloadObject, MAX_PATH_CHARS, percent, sentence, stateName, timeLeft } from '../download/describe.ts';
import { CALL_TIMEOUT_MS, withNode } from '../control/control-client.ts';
import { interruptible, untilAborted } from './interruption.ts';
import { bytes, printable, printJson, rate, table } from './show.ts';

/** `--watch` shows changes for this long at most, in ms: as long as the node keeps a stream open. */
const WATCH_MS = 24 * 3_600_000;
/** Changes taken in that time: the node tells of each download four times a second at most. */
const MAX_CHANGES = 10_000_000;
/** A terminal is painted anew this often at most, in ms. */
const PAINT_INTERVAL_MS = 500;
/** Elsewhere a download that only gets on is told of this often at most, in ms. */
const LINE_INTERVAL_MS = 3_000;

const transfers = transfersV1.TransfersServiceService;
const { DownloadState } = transfersV1;

/** `filbert downloads`: a line each; with `--watch` until it is interrupted. */
export async function downloads(flags: FlagValues): Promise<void> {
  const isJson = flags['json'] === true;
  if (flags['watch'] === true) {
    await watchDownloads(flags, isJson);
    return;
  }
  const list = await withNode(flags, (client) =>
    callUnary(client, transfers.listDownloads, {}, { timeoutMs: CALL_TIMEOUT_MS }),
  );
  if (isJson) for (const download of list.downloads) printJson(downloadObject(download));
  else console.log(downloadTable(list.downloads));
}

/** `filbert downloads pause|resume|cancel ID`. */
export async function changeDownload(
  change: 'pause' | 'resume' | 'cancel',
  id: string,
  flags: FlagValues,
): Promise<void> {
  const method = { pause: transfers.pauseDownload, resume: transfers.resumeDownload, cancel: transfers.cancelDownload };
  const { download } = await withNode(flags, (client) =>
    callUnary(client, method[change], { id }, { timeoutMs: CALL_TIMEOUT_MS }),
  );
  if (download === undefined) return;
  if (flags['json'] === true) printJson(downloadObject(download));
  else if (change === 'cancel' && download.state === DownloadState.DOWNLOAD_STATE_COMPLETED) {
    console.log(`${printable(download.id)}  forgotten; the file stays: ${printable(download.path, MAX_PATH_CHARS)}`);
  } else console.log(`${printable(download.id)}  ${stateName(download.state)}  ${printable(download.name)}`);
}

async function watchDownloads(flags: FlagValues, isJson: boolean): Promise<void> {
  const view = isJson ? new JsonLines() : process.stdout.isTTY ? new Painting() : new Lines();
  await interruptible(({ signal }) =>
    withNode(flags, async (client) => {
      const options = { timeoutMs: WATCH_MS, maxMessages: MAX_CHANGES, signal };
      const changes = callStream(client, transfers.watchDownloads, { ids: [] }, options);
      try {
        for await (const { download } of untilAborted(changes, signal)) {
          if (download !== undefined) view.show(download);
        }
      } finally {
        view.end();
      }
    }),
  );
}

class JsonLines {
  show(download: transfersV1.Download): void {
    printJson(downloadObject(download));
  }

  end(): void {
    // Nothing is held back.
  }
}

/** A line for each change that says more than a few bytes. */
class Lines {
  readonly #shown = new Map<string, { readonly state: transfersV1.DownloadState; readonly atMs: number }>();

  show(download: transfersV1.Download): void {
    const { id, state } = download;
    const before = this.#shown.get(id);
    if (before?.state === state && Date.now() - before.atMs < LINE_INTERVAL_MS) return;
    // What has gone is told of once; the others the node bounds.
    if (state === DownloadState.DOWNLOAD_STATE_CANCELLED) this.#shown.delete(id);
    else this.#shown.set(id, { state, atMs: Date.now() });
    console.log(cells(download).join('  '));
  }

  end(): void {
    // Nothing is held back.
  }
}

/** The table, painted over itself. */
class Painting {
  readonly #downloads = new Map<string, transfersV1.Download>();
  #timer: NodeJS.Timeout | undefined;

  show(download: transfersV1.Download): void {
    if (download.state === DownloadState.DOWNLOAD_STATE_CANCELLED) this.#downloads.delete(download.id);
    else this.#downloads.set(download.id, download);
    this.#timer ??= setTimeout(() => this.#paint(), PAINT_INTERVAL_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#downloads.size > 0) this.#paint();
  }

  #paint(): void {
    this.#timer = undefined;
    const lines = downloadTable([...this.#downloads.values()]).split('\n');
    const fitting = lines.slice(0, Math.max(2, process.stdout.rows - 1));
    process.stdout.write(`\x1b[2J\x1b[H${fitting.join('\n')}\n`);
  }
}

function downloadTable(list: readonly transfersV1.Download[]): string {
  if (list.length === 0) return 'no downloads';
  return table(['ID', 'STATE', 'DONE', 'SIZE', 'RATE', 'LEFT', 'SOURCES', 'NAME'], list.map(cells));
}

function cells(download: transfersV1.Download): string[] {
  const { id, state, name, sizeBytes, bytesPerSecond, activeSources, sources } = download;
  const why = sentence(download);
  return [
    printable(id),
    stateName(state),
    percent(download),
    sizeBytes === 0 ? '-' : bytes(sizeBytes),
    bytesPerSecond > 0 ? rate(bytesPerSecond) : '-',
    timeLeft(download),
    `${activeSources}/${sources.length}`,
    why === '' ? printable(name) : `${printable(name)} (${why})`,
  ];
}
