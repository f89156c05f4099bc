import { homedir } from 'node:os';
import { dirname, relative, resolve } from 'node:path';
import { searchV1 } from '@filbert/contracts';
import { callStream, callUnary, type FlagValues } from '@filbert/kit';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { CALL_TIMEOUT_MS, MAX_SENTENCE_CHARS, withNode } from '../control/control-client.ts';
import { interruptible, untilAborted } from './interruption.ts';
import { bar, ProgressLine } from './progress-line.ts';
import { bytes, plural, printable, printJson, table } from './show.ts';

/** A rescan is followed for this long at most, in ms: hashing a large library takes hours. */
const RESCAN_MS = 24 * 3_600_000;
/** Messages taken in that time: the node tells four times a second. */
const MAX_RESCAN_MESSAGES = 400_000;
/** Longest path that is printed, in characters. */
const MAX_PATH_CHARS = 200;

const library = searchV1.SearchServiceService;

/** `filbert share add FOLDER`: shares one more folder, for good. */
export async function shareAdd(folder: string, flags: FlagValues): Promise<void> {
  const path = pathOf(folder);
  // A slip of the hand, or a variable that was not set, must not show everything that somebody has to the world.
  if (flags['force'] !== true && holdsAll(path)) {
    throw new CommandError(
      ExitCode.usage,
      `${path} holds more than files to share: name a folder in it, or say --force if all of it is meant`,
    );
  }
  const reply = await withNode(flags, (client) =>
    callUnary(client, library.addShare, { path }, { timeoutMs: CALL_TIMEOUT_MS }),
  );
  if (flags['json'] === true) printJson({ ...reply, path });
  if (!reply.added) throw new CommandError(ExitCode.failed, printable(reply.reason, MAX_SENTENCE_CHARS));
  if (flags['json'] !== true) console.log(`${path} is shared; its files are found as they are hashed`);
}

/** `filbert share remove FOLDER`: shares it no longer. */
export async function shareRemove(folder: string, flags: FlagValues): Promise<void> {
  const path = pathOf(folder);
  const reply = await withNode(flags, (client) =>
    callUnary(client, library.removeShare, { path }, { timeoutMs: CALL_TIMEOUT_MS }),
  );
  if (flags['json'] === true) printJson({ ...reply, path });
  if (!reply.removed) throw new CommandError(ExitCode.failed, printable(reply.reason, MAX_SENTENCE_CHARS));
  if (flags['json'] !== true) console.log(`${path} is shared no longer`);
}

/** `filbert share list`: the folders, and what is served of each. */
export async function shareList(flags: FlagValues): Promise<void> {
  const shares: searchV1.ListSharesResponse[] = [];
  await withNode(flags, async (client) => {
    for await (const share of callStream(client, library.listShares, {}, { timeoutMs: CALL_TIMEOUT_MS })) {
      if (flags['json'] === true) printJson(share);
      else shares.push(share);
    }
  });
  if (flags['json'] === true) return;
  if (shares.length === 0) {
    console.log('nothing is shared; "filbert share add FOLDER" shares a folder');
    return;
  }
  const rows = shares.map((share) => [
    printable(share.path, MAX_PATH_CHARS),
    printable(share.state),
    `${share.files}`,
    bytes(share.bytes),
    share.configured ? '--share' : 'share add',
  ]);
  console.log(table(['FOLDER', 'STATE', 'FILES', 'SIZE', 'BY'], rows));
}

/** `filbert share rescan`: has the folders looked through now, and shows how far that is. */
export async function shareRescan(flags: FlagValues): Promise<void> {
  const isJson = flags['json'] === true;
  const line = new ProgressLine({ output: process.stderr, now: Date.now });
  let last: searchV1.Progress | undefined;
  await interruptible((state) =>
    withNode(flags, async (client) => {
      const options = { timeoutMs: RESCAN_MS, maxMessages: MAX_RESCAN_MESSAGES, signal: state.signal };
      try {
        for await (const { progress } of untilAborted(callStream(client, library.rescan, {}, options), state.signal)) {
          if (progress === undefined) continue;
          last = progress;
          if (isJson) printJson(progress);
          else line.show(progressText(progress));
        }
      } finally {
        line.clear();
      }
      if (state.interruption === undefined) return;
      throw new CommandError(state.interruption.exitCode, 'interrupted: the node goes on with it by itself');
    }),
  );
  if (!isJson && last !== undefined) console.log(summary(last));
}

/** @throws CommandError where no folder is named: the empty name would mean the current one */
function pathOf(folder: string): string {
  if (folder.trim() === '') throw new CommandError(ExitCode.usage, 'no folder is named');
  return resolve(folder);
}

/** Whether the folder is somebody's home, or holds it or the whole machine. */
function holdsAll(path: string): boolean {
  const inHome = relative(path, homedir());
  return path === dirname(path) || inHome === '' || !inHome.startsWith('..');
}

function progressText(progress: searchV1.Progress): string {
  const { hashFilesTotal, hashFilesDone, hashBytesTotal, hashBytesDone } = progress;
  const seen = `${plural(progress.filesSeen, 'file')} in ${plural(progress.foldersSeen, 'folder')}`;
  const looking = progress.scanning ? `looking: ${seen}` : seen;
  if (hashFilesTotal === 0) return looking;
  const share = hashBytesTotal === 0 ? 1 : hashBytesDone / hashBytesTotal;
  const done = `${hashFilesDone} of ${hashFilesTotal}, ${bytes(hashBytesDone)} of ${bytes(hashBytesTotal)}`;
  return `${looking}  hashing ${bar(share)} ${done}`;
}

function summary(progress: searchV1.Progress): string {
  const seen = `${plural(progress.filesSeen, 'file')} in ${plural(progress.foldersSeen, 'folder')}`;
  const leftOut = progress.leftOut.map(({ reason, count }) => `${count} ${printable(reason)}`);
  return leftOut.length === 0 ? seen : `${seen}; left out: ${leftOut.join(', ')}`;
}
