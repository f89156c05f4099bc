import { resolve } from 'node:path';
import { transfersV1 } from '@filbert/contracts';
import { callUnary, RpcError, type FlagValues } from '@filbert/kit';
import { downloadObject, hasStopped, MAX_PATH_CHARS, progressText, sentence, stateName } from '../download/describe.ts';
import { findSources, SOURCE_SEARCH_MS, type FoundSources } from '../download/find-sources.ts';
import { followDownload } from '../download/follow.ts';
import { checkPlan, saveCopy, type CopyPlan } from '../download/save-copy.ts';
import { readTarget, type DownloadTarget } from '../download/target.ts';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { CALL_TIMEOUT_MS, withNode, type Client, type Reopen } from '../control/control-client.ts';
import { interruptible, type Interruptible } from './interruption.ts';
import { sayWhoCannotBeAsked } from './who-is-asked.ts';
import { ProgressLine } from './progress-line.ts';
import { bytes, duration, plural, printable, printJson } from './show.ts';

const NO_SOURCES: FoundSources = { sources: [], name: '' };
const transfers = transfersV1.TransfersServiceService;
const BUSY: ReadonlySet<transfersV1.DownloadState> = new Set([
  transfersV1.DownloadState.DOWNLOAD_STATE_QUEUED,
  transfersV1.DownloadState.DOWNLOAD_STATE_RUNNING,
  transfersV1.DownloadState.DOWNLOAD_STATE_VERIFYING,
]);

/** `filbert download MAGNET|HASH`: fetches a file, and shows how far it is until it is there. */
export async function download(typed: string, flags: FlagValues): Promise<void> {
  const target = readTarget(typed);
  const waits = flags['wait'] !== false;
  const out = flags['out'];
  const plan = typeof out === 'string' ? { file: resolve(out), force: flags['force'] === true } : undefined;
  if (plan !== undefined && !waits) {
    throw new CommandError(ExitCode.usage, '--out needs the finished file: it cannot go with --no-wait');
  }
  if (plan !== undefined) await checkPlan(plan);
  const line = new ProgressLine({ output: process.stderr, now: Date.now });
  try {
    await interruptible((state) =>
      withNode(flags, (client, reopen) =>
        new DownloadCommand({ client, reopen, target, plan, waits, state, line, isJson: flags['json'] === true }).run(),
      ),
    );
  } finally {
    line.clear();
  }
}

interface DownloadCommandOptions {
  readonly client: Client;
  readonly reopen: Reopen;
  readonly target: DownloadTarget;
  readonly plan: CopyPlan | undefined;
  readonly waits: boolean;
  readonly state: Interruptible;
  readonly line: ProgressLine;
  readonly isJson: boolean;
}

class DownloadCommand {
  readonly #options: DownloadCommandOptions;
  readonly #startedAtMs = Date.now();

  constructor(options: DownloadCommandOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { client, reopen, waits, state, line, isJson } = this.#options;
    const known = await this.#known();
    if (known?.state === transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED) {
      if (isJson) printJson(downloadObject(known));
      await this.#end(known, `is there already, ${bytes(known.sizeBytes)}`);
      return;
    }
    // One that is busy is only watched; one that waits or has stopped gets the sources that there are now.
    const begun = known !== undefined && BUSY.has(known.state) ? known : await this.#begin(known);
    if (!waits) {
      if (isJson) printJson(downloadObject(begun));
      else console.log(`${begun.id}  ${stateName(begun.state)}  ${printable(begun.name, MAX_PATH_CHARS)}`);
      return;
    }
    line.clear();
    this.#say(`downloading ${printable(begun.name, MAX_PATH_CHARS)} as ${printable(begun.id)}`);

    let shownState = begun.state;
    const ended = await followDownload(client, begun.id, {
      signal: state.signal,
      onChange: (now) => {
        if (isJson) printJson(downloadObject(now));
        else line.show(progressText(now), now.state !== shownState);
        shownState = now.state;
      },
      onAway: () => line.show('the node does not answer; asking again'),
      reopen,
    });
    line.clear();
    if (ended === undefined) {
      throw this.#interrupted(
        `the download goes on in the node; "filbert downloads" shows it, "filbert downloads cancel ${begun.id}" ends it`,
      );
    }
    this.#checkEnd(ended);
    await this.#end(ended, `done, ${bytes(ended.sizeBytes)} in ${duration(Date.now() - this.#startedAtMs)}`);
  }

  /** Copies the file where that is asked for, and says where it is. */
  async #end(finished: transfersV1.Download, text: string): Promise<void> {
    const { plan, isJson } = this.#options;
    const copiedTo = plan === undefined ? undefined : await this.#copy(finished, plan);
    if (!isJson) console.log(`${text}: ${printable(finished.path, MAX_PATH_CHARS)}`);
    if (copiedTo === undefined) return;
    if (isJson) printJson({ ...downloadObject(finished), copiedTo });
    else console.log(`copied to ${printable(copiedTo, MAX_PATH_CHARS)}`);
  }

  /** The download of this file that the node has under way, or finished with its file still there. */
  async #known(): Promise<transfersV1.Download | undefined> {
    const { client, target, state } = this.#options;
    try {
      const request = { target: target.text };
      return (await callUnary(client, transfers.findDownload, request, callOptions(state))).download;
    } catch (error) {
      if (error instanceof RpcError && error.kind === 'not-found') return undefined;
      throw error;
    }
  }

  /** Starts the download, or has the one that is known go on, with the sources that the network knows now. */
  async #begin(known: transfersV1.Download | undefined): Promise<transfersV1.Download> {
    const { target, state } = this.#options;
    const found = target.hasSources ? NO_SOURCES : await this.#findSources();
    if (state.signal.aborted) {
      throw this.#interrupted(known === undefined ? 'nothing was started' : `${known.id} is in the node as before`);
    }
    if (!target.hasSources && found.sources.length === 0 && known === undefined) {
      throw new CommandError(
        ExitCode.failed,
        `no source of ${target.urn} was found in ${duration(SOURCE_SEARCH_MS)}; nothing was started`,
      );
    }
    return this.#start(found);
  }

  /** Those that the network knows. */
  async #findSources(): Promise<FoundSources> {
    const { client, target, state, line } = this.#options;
    void sayWhoCannotBeAsked(client);
    line.show(`searching the network for ${target.urn}`, true);
    const found = await findSources(client, target.query, {
      signal: state.signal,
      onSource: (count) => line.show(`searching the network: ${plural(count, 'source')} of ${target.urn}`),
    });
    line.clear();
    return found;
  }

  async #start({ sources, name }: FoundSources): Promise<transfersV1.Download> {
    const { client, target, state } = this.#options;
    try {
      const request = { target: target.text, sources: [...sources], name: target.name ?? name, sizeBytes: 0 };
      const started = await callUnary(client, transfers.startDownload, request, callOptions(state));
      // Whoever asks again for a file that was paused, or had failed, wants it to go on.
      const resumed =
        started.download !== undefined && hasStopped(started.download)
          ? await callUnary(client, transfers.resumeDownload, { id: started.download.id }, callOptions(state))
          : started;
      if (resumed.download !== undefined) return resumed.download;
    } catch (error) {
      if (state.signal.aborted) {
        throw this.#interrupted('"filbert downloads" shows whether it was started');
      }
      throw error;
    }
    throw new RpcError('internal', 'the node told nothing of the download');
  }

  /** @throws CommandError unless the file is there */
  #checkEnd(ended: transfersV1.Download): void {
    const { DownloadState } = transfersV1;
    if (ended.state === DownloadState.DOWNLOAD_STATE_COMPLETED) return;
    if (ended.state === DownloadState.DOWNLOAD_STATE_CANCELLED) {
      throw new CommandError(ExitCode.failed, 'the download was cancelled');
    }
    const why = sentence(ended) || stateName(ended.state);
    const resume = `what was fetched is kept: "filbert downloads resume ${ended.id}" goes on`;
    throw new CommandError(ExitCode.failed, `the download failed: ${why}\n${resume}`);
  }

  async #copy(ended: transfersV1.Download, plan: CopyPlan): Promise<string> {
    const { target, state, line } = this.#options;
    let copied = 0;
    const onBytes = (count: number): void => {
      copied += count;
    };
    const timer = setInterval(() => line.show(`copying to ${plan.file}: ${bytes(copied)}`), 500);
    try {
      await saveCopy(ended.path, target.sha1, plan, state.signal, onBytes);
    } catch (error) {
      const where = `the finished file is ${printable(ended.path, MAX_PATH_CHARS)}`;
      if (state.signal.aborted) throw this.#interrupted(`it was not copied; ${where}`);
      if (error instanceof CommandError)
        throw new CommandError(error.exitCode, `${error.message}\n${where}`, { cause: error });
      throw error;
    } finally {
      clearInterval(timer);
      line.clear();
    }
    return plan.file;
  }

  /** A sentence for people, beside the results. */
  #say(text: string): void {
    if (!this.#options.isJson) process.stderr.write(`${text}\n`);
  }

  #interrupted(text: string): CommandError {
    return new CommandError(this.#options.state.interruption?.exitCode ?? ExitCode.interrupted, `interrupted: ${text}`);
  }
}

function callOptions({ signal }: Interruptible): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: CALL_TIMEOUT_MS, signal };
}
