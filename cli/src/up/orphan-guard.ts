import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./orphan-guard.sh', import.meta.url));

/**
 * Sees to it that no process of the node outlives its supervisor, also one that was killed with SIGKILL: a shell of its own
 * ends what is left, in an orderly way at first and after ten seconds with SIGKILL. The services notice by themselves that
 * the supervisor is gone; the guard is for nats-server, which cannot, and for a service that hangs. Only killing supervisor
 * and guard at one time leaves a nats-server behind.
 */
export class OrphanGuard {
  readonly #pids = new Set<number>();
  #shell: ChildProcess | undefined;
  #stopped = false;

  /** Begins to watch over this process; never throws. */
  start(): void {
    // Detached, as everything below the supervisor: Ctrl-C in a terminal is for the supervisor alone, which stops in order.
    const shell = spawn('/bin/sh', [SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.#shell = shell;
    // A shell that cannot be started, or died with a line on its way: the services still notice by themselves.
    shell.on('error', () => undefined);
    shell.stdin.on('error', () => undefined);
    shell.once('exit', () => {
      this.#shell = undefined;
      if (!this.#stopped) this.start();
    });
    for (const pid of this.#pids) this.#tell('+', pid);
  }

  /** A process began. */
  add(pid: number): void {
    this.#pids.add(pid);
    this.#tell('+', pid);
  }

  /** A process ended: its id may soon be another's. */
  remove(pid: number): void {
    this.#pids.delete(pid);
    this.#tell('-', pid);
  }

  /** Ends the guard; what is still known to it then, it ends. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const shell = this.#shell;
    if (shell?.pid === undefined) return;
    const ended = new Promise((resolve) => shell.once('exit', resolve));
    shell.stdin?.end();
    await ended;
  }

  #tell(sign: '+' | '-', pid: number): void {
    this.#shell?.stdin?.write(`${sign} ${pid}\n`);
  }
}
