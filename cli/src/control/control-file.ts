import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { makeFolder, parseHostPort, type HostPort } from '@filbert/kit';
import { z } from 'zod';
import { CommandError, ExitCode } from '../exit-codes.ts';

/** Whether a node listens is known within this, in ms. */
const LISTENING_TIMEOUT_MS = 1_000;

/** What a running node leaves in its data folder, so that the command line finds it. */
const ControlFile = z.object({
  control: z.string(),
  admin: z.string(),
  gnutella: z.string(),
  pid: z.number().int().positive(),
});
export type ControlFile = z.infer<typeof ControlFile>;

function pathOf(dataDir: string): string {
  return join(dataDir, 'control.json');
}

/** Writes `<data>/control.json`, whole or not at all. */
export function writeControlFile(dataDir: string, content: ControlFile): void {
  makeFolder(dataDir);
  const file = pathOf(dataDir);
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, file);
}

/** Removes the file where this process wrote it. */
export function removeControlFile(dataDir: string): void {
  try {
    if (parse(dataDir).pid === process.pid) rmSync(pathOf(dataDir), { force: true });
  } catch {
    // Not there, or not ours.
  }
}

/** The node that runs on this data folder, if its process lives and listens: after a crash another may have its number. */
export async function runningNode(dataDir: string): Promise<ControlFile | undefined> {
  let content: ControlFile;
  try {
    content = parse(dataDir);
    process.kill(content.pid, 0);
  } catch {
    return undefined;
  }
  if (content.pid === process.pid) return undefined;
  const address = parseHostPort(content.control);
  return address !== undefined && (await isListening(address)) ? content : undefined;
}

/** Whether somebody takes connections there. One who does not answer in time counts as there: it may be busy. */
function isListening(address: HostPort): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...address, timeout: LISTENING_TIMEOUT_MS });
    const end = (listens: boolean): void => {
      socket.destroy();
      resolve(listens);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(true));
    socket.once('error', () => end(false));
  });
}

/**
 * Where the node of a data folder takes control calls.
 * @throws CommandError with a sentence where no node is found
 */
export function findControl(dataDir: string): HostPort {
  let content: ControlFile;
  try {
    content = parse(dataDir);
  } catch (cause) {
    throw new CommandError(
      ExitCode.unavailable,
      `no running node found: ${pathOf(dataDir)} cannot be read. Start one with "filbert up", or name it with --data or --control.`,
      { cause },
    );
  }
  const address = parseHostPort(content.control);
  if (address === undefined) {
    throw new CommandError(ExitCode.unavailable, `${pathOf(dataDir)} holds no usable control address`);
  }
  return address;
}

function parse(dataDir: string): ControlFile {
  return ControlFile.parse(JSON.parse(readFileSync(pathOf(dataDir), 'utf8')));
}
