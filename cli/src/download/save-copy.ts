import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorCode } from '@filbert/kit';
import { CommandError, ExitCode } from '../exit-codes.ts';

/** Where a finished file is wanted as well. */
export interface CopyPlan {
  readonly file: string;
  /** Replace what is there. */
  readonly force: boolean;
}

/**
 * Looks whether a file can be put there, before anything is fetched for it.
 * @throws CommandError with a sentence where it cannot
 */
export async function checkPlan({ file, force }: CopyPlan): Promise<void> {
  const folder = await stat(dirname(file)).catch(() => undefined);
  if (folder?.isDirectory() !== true) throw failed(`--out ${file}: its folder does not exist`);
  const there = await stat(file).catch(() => undefined);
  if (there?.isDirectory() === true) throw failed(`--out ${file}: it is a folder; name a file`);
  if (there !== undefined && !force) throw failed(`--out ${file}: it exists already; --force replaces it`);
}

/**
 * Copies the finished file to its place, whole or not at all. The copy is hashed: a node on another machine names a path
 * that may mean something else here.
 * @param sha1 20 bytes
 * @throws CommandError with a sentence; nothing is left behind then
 */
export async function saveCopy(
  source: string,
  sha1: Uint8Array,
  plan: CopyPlan,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  const temporary = join(dirname(plan.file), `.filbert-${randomBytes(8).toString('hex')}.part`);
  try {
    const digest = await copyHashed(source, temporary, signal, onBytes);
    if (!digest.equals(sha1)) {
      throw failed(`${source} is not the file that was fetched: is the node on another machine?`);
    }
    if (plan.force) await rename(temporary, plan.file);
    else await giveName(temporary, plan.file);
  } catch (error) {
    if (signal.aborted || error instanceof CommandError) throw error;
    const why = existsSync(source) ? messageOf(error) : `${source} cannot be read from here`;
    throw failed(`the finished file could not be copied to ${plan.file}: ${why}`, error);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function copyHashed(
  source: string,
  target: string,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<Buffer> {
  const hash = createHash('sha1');
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
  await pipeline(createReadStream(source), hashing, createWriteStream(target, { flags: 'wx', flush: true }), {
    signal,
  });
  return hash.digest();
}

/** Gives a file a name that nothing else has. @throws CommandError where something has it meanwhile */
async function giveName(temporary: string, file: string): Promise<void> {
  try {
    await link(temporary, file);
  } catch (error) {
    if (!isExisting(error)) {
      // A file system without links: an empty file of our own takes the name, and is replaced by the whole one.
      await open(file, 'wx').then((handle) => handle.close(), refuseExisting(file));
      await rename(temporary, file);
      return;
    }
    refuseExisting(file)(error);
  }
}

function refuseExisting(file: string): (error: unknown) => never {
  return (error) => {
    throw isExisting(error) ? failed(`--out ${file}: it exists meanwhile; --force replaces it`, error) : error;
  };
}

function isExisting(error: unknown): boolean {
  return errorCode(error) === 'EEXIST';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function failed(sentence: string, cause?: unknown): CommandError {
  return new CommandError(ExitCode.failed, sentence, cause === undefined ? {} : { cause });
}
