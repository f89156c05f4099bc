import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Logger } from '@filbert/kit';
import type { OrphanGuard } from './orphan-guard.ts';

/** Time before the second restart in a row, ms; it doubles with each further one. The first restart waits for nothing. */
export const RESTART_DELAY_MS = 100;
/** Longest time before a restart, ms. */
export const MAX_RESTART_DELAY_MS = 5_000;
/** A process that lived this long starts a new row of restarts, ms. */
export const STABLE_AFTER_MS = 30_000;
/** The last messages of a process that ended may take this long to arrive, ms. */
const LAST_MESSAGES_MS = 500;

/** How long to wait before the next start after `failures` starts that did not last. */
export function restartDelayMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(RESTART_DELAY_MS * 2 ** (failures - 1), MAX_RESTART_DELAY_MS);
}

export interface KeptProcessOptions {
  readonly name: string;
  /** Starts it; it must be detached, so that signals from a terminal reach the supervisor only. */
  readonly launch: () => ChildProcess;
  readonly guard: OrphanGuard;
  readonly logger: Logger;
  /** It was started, for the first time or again. */
  readonly onStarted: (child: ChildProcess) => void;
  /** It ended; `how` completes the sentence "it …". */
  readonly onEnded: (how: string) => void;
}

/** A process below the supervisor. Once it is kept it is started again whenever it ends. */
export class KeptProcess {
  readonly #options: KeptProcessOptions;
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #failures = 0;
  #restarts = 0;
  #kept = false;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: KeptProcessOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  /** Whether there is a process now. */
  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Whether it is started again when it ends. */
  get kept(): boolean {
    return this.#kept;
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Starts it once. */
  start(): void {
    if (this.#stopping) return;
    const { launch, guard, onStarted } = this.#options;
    const child = launch();
    this.#child = child;
    this.#startedAt = performance.now();
    if (child.pid === undefined) {
      child.once('error', (error) => this.#ended(`could not be started: ${error.message}`));
      return;
    }
    const { pid } = child;
    guard.add(pid);
    // A signal or message that cannot be sent any more; the end itself follows.
    child.on('error', () => undefined);
    child.once('exit', (code, signal) => {
      guard.remove(pid);
      void lastMessages(child).then(() =>
        this.#ended(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`),
      );
    });
    onStarted(child);
  }

  /** From now on it is started again when it ends. */
  keep(): void {
    this.#kept = true;
  }

  /** Ends it for good: SIGTERM, and SIGKILL when that took `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child?.pid === undefined) return;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.#options.logger.error({ process: this.name, timeoutMs }, 'did not stop in time: killed');
      child.kill('SIGKILL');
    }, timeoutMs);
    await exit;
    clearTimeout(timer);
  }

  /** Ends it at once and for good. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#child?.kill('SIGKILL');
  }

  #ended(how: string): void {
    this.#child = undefined;
    this.#options.onEnded(how);
    if (!this.#kept || this.#stopping) return;
    if (performance.now() - this.#startedAt >= STABLE_AFTER_MS) this.#failures = 0;
    const delayMs = restartDelayMs(this.#failures++);
    this.#options.logger.warn({ process: this.name, delayMs }, `${this.name} ${how}: it is started again`);
    this.#timer = setTimeout(() => {
      this.#restarts++;
      this.start();
    }, delayMs);
  }
}

/** Waits until what an ended process sent over IPC has been read. */
async function lastMessages(child: ChildProcess): Promise<void> {
  if (!child.connected) return;
  await once(child, 'disconnect', { signal: AbortSignal.timeout(LAST_MESSAGES_MS) }).catch(() => undefined);
}
