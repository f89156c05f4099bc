import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

/** What it says on stderr until it ends, and its exit code. */
async function endOf(child: ChildProcess): Promise<readonly [string, number | null]> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return [said, code];
}

describe('cli: output that nobody takes', () => {
  it('of a full disk is told in one sentence, and the command has failed', async () => {
    // A file whose every write finds the disk full.
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [MAIN, 'config', 'print'], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    const sentence = 'filbert: the output cannot be written: ENOSPC: no space left on device, write\n';
    assert.deepEqual(await endOf(child), [sentence, 1]);
  });

  it('of a pipe whose reader has gone is no failure', async () => {
    const child = spawn(process.execPath, [MAIN, 'config', 'print'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    assert.deepEqual(await endOf(child), ['', 0]);
  });
});
