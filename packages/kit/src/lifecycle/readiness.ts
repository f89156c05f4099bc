import { LifecycleError } from './errors.ts';

/** Most named conditions of one process. */
export const MAX_CONDITIONS = 256;

/** Whether a process may be sent work: it may when every named condition holds. */
export interface Readiness {
  /** Sets a condition, declaring it where it is new. @throws LifecycleError `too-many-conditions` */
  set(condition: string, holds: boolean): void;
  /** Whether all conditions hold; false while there are none. */
  isReady(): boolean;
  /** The conditions that do not hold, in order of declaration. */
  waitingFor(): readonly string[];
  /** Calls `listener` after each change of `isReady()`; returns how to stop that. */
  onChange(listener: (ready: boolean) => void): () => void;
}

/** A readiness state; `conditions` are declared as not holding yet. */
export function createReadiness(conditions: readonly string[] = []): Readiness {
  const states = new Map<string, boolean>(conditions.map((condition) => [condition, false]));
  const listeners = new Set<(ready: boolean) => void>();
  const isReady = (): boolean => states.size > 0 && [...states.values()].every((holds) => holds);
  return {
    set(condition, holds) {
      if (!states.has(condition) && states.size >= MAX_CONDITIONS)
        throw new LifecycleError('too-many-conditions', `over ${MAX_CONDITIONS} readiness conditions`);
      const before = isReady();
      states.set(condition, holds);
      const after = isReady();
      if (before !== after) for (const listener of [...listeners]) listener(after);
    },
    isReady,
    waitingFor: () => [...states].filter(([, holds]) => !holds).map(([condition]) => condition),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
