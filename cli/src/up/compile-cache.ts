import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FILBERT_VERSION } from '@filbert/contracts';
import type { Logger } from '@filbert/kit';
import type { OrphanGuard } from './orphan-guard.ts';

const SCRIPT = fileURLToPath(new URL('./fill-compile-cache.ts', import.meta.url));
/** What the process that fills the cache leaves there when it is done. */
export const MARK_FILE = 'filled';
/** Filling takes a second or two; beyond this it is given up, ms. */
export const FILLING_TIMEOUT_MS = 30_000;

/** What stands in that file where the cache fits this program. */
export function cacheMark(): string {
  return `Filbert ${FILBERT_VERSION}, Node ${process.version}\n`;
}

/**
 * Node's compile cache for the services' sources: with it a process works again in half the time. Writing it takes a process up
 * to two seconds in which it does nothing else, so no service does: before the services start, a process of its own fills it,
 * once for a data folder. What that costs the services save by reading it.
 */
export class CompileCache {
  readonly #folder: string;
  readonly #guard: OrphanGuard;
  readonly #logger: Logger;
  #child: ChildProcess | undefined;

  /** @param folder in the data folder, which others cannot write to: what lies in the cache is run */
  constructor(folder: string, guard: OrphanGuard, logger: Logger) {
    this.#folder = folder;
    this.#guard = guard;
    this.#logger = logger;
  }

  /** What a service that is started now gets into its environment. */
  get env(): Record<string, string> {
    return this.#isFilled() ? { NODE_COMPILE_CACHE: this.#folder } : {};
  }

  /** Fills it where an earlier start did not. Never rejects: without it services only start more slowly. */
  async fill(signal: AbortSignal): Promise<void> {
    // Whoever names a cache of their own fills it too: services write what is new in it when they end.
    if (process.env['NODE_COMPILE_CACHE'] !== undefined || this.#isFilled()) return;
    this.#logger.info('filling the compile cache, once for this data folder');
    const child = spawn(process.execPath, [SCRIPT, this.#folder], {
      env: { ...process.env, NODE_COMPILE_CACHE: this.#folder },
      stdio: 'ignore',
      detached: true,
    });
    this.#child = child;
    if (child.pid !== undefined) this.#guard.add(child.pid);
    const timer = setTimeout(() => this.stop(), FILLING_TIMEOUT_MS);
    const onAbort = (): void => this.stop();
    signal.addEventListener('abort', onAbort, { once: true });
    const how = await new Promise<unknown>((resolve) => {
      child.once('error', resolve);
      child.once('exit', (code, killedBy) => resolve(code ?? killedBy));
    });
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    if (child.pid !== undefined) this.#guard.remove(child.pid);
    this.#child = undefined;
    if (how !== 0) this.#logger.warn({ how }, 'the compile cache could not be filled: services start more slowly');
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
  }

  #isFilled(): boolean {
    try {
      return readFileSync(join(this.#folder, MARK_FILE), 'utf8') === cacheMark();
    } catch {
      return false;
    }
  }
}
