import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@filbert/kit';
import type { OrphanGuard } from './orphan-guard.ts';

const SCRIPT = fileURLToPath(new URL('./warm-compile-cache.ts', import.meta.url));
/** What the process that fills the cache leaves there when it is done. */
export const CACHE_IS_WARM = 'warm';
/** Filling takes a second or two; beyond this it is given up, ms. */
const WARMING_TIMEOUT_MS = 60_000;

/**
 * Node's compile cache for the services' sources: it halves the time until a process that died works again. Writing it takes
 * a process up to two seconds in which it does nothing else, so no service does: a process of its own fills it once the node
 * serves, and services that are started later read it. A cache that an earlier run left is read at once.
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
    return existsSync(join(this.#folder, CACHE_IS_WARM)) ? { NODE_COMPILE_CACHE: this.#folder } : {};
  }

  /** Begins to fill it, or what changed of it; never throws. */
  warm(): void {
    // Whoever names a cache of their own fills it too: services write what is new in it when they end.
    if (this.#child !== undefined || process.env['NODE_COMPILE_CACHE'] !== undefined) return;
    const child = spawn(process.execPath, [SCRIPT, this.#folder], {
      env: { ...process.env, NODE_COMPILE_CACHE: this.#folder },
      stdio: 'ignore',
      detached: true,
    });
    this.#child = child;
    const timer = setTimeout(() => child.kill('SIGKILL'), WARMING_TIMEOUT_MS);
    timer.unref();
    if (child.pid !== undefined) this.#guard.add(child.pid);
    const ended = (how: unknown): void => {
      clearTimeout(timer);
      if (child.pid !== undefined) this.#guard.remove(child.pid);
      // Services then start as slowly as without a cache; nothing else is lost.
      if (how !== 0 && this.#child === child) this.#logger.debug({ how }, 'the compile cache could not be filled');
      this.#child = undefined;
    };
    child.once('error', ended);
    child.once('exit', (code, signal) => ended(code ?? signal));
  }

  stop(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.kill('SIGKILL');
  }
}
