import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, parseHostPort, type HostPort } from '@filbert/kit';
import { z } from 'zod';
import { CommandError, ExitCode } from '../exit-codes.ts';

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

/** The node that runs on this data folder, if its process lives. */
export function runningNode(dataDir: string): ControlFile | undefined {
  try {
    const content = parse(dataDir);
    process.kill(content.pid, 0);
    return content.pid === process.pid ? undefined : content;
  } catch {
    return undefined;
  }
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
