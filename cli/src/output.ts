import { ExitCode } from './exit-codes.ts';

/**
 * Lets a process end in peace where whoever read its output has gone, as `head` does; says in one sentence that it cannot be
 * written for another reason, such as a full disk, and makes the process end as failed. For the rest of the process.
 */
export function watchOutput(): void {
  let said = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || said) return;
    said = true;
    process.stderr.write(`filbert: the output cannot be written: ${error.message}\n`);
    process.once('exit', () => {
      process.exitCode = ExitCode.failed;
    });
  });
}
