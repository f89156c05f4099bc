import { systemTimers, type Timers } from '../clock/clock.ts';
import type { Logger } from '../log/logger.ts';
import { LifecycleError } from './errors.ts';
import { createReadiness, type Readiness } from './readiness.ts';

/** Longest time one component may take to start, in ms. */
export const START_TIMEOUT_MS = 30_000;
/** Longest time one component may take from started to ready, in ms. */
export const READY_TIMEOUT_MS = 60_000;
/** Longest time one component may take to finish what it has begun, in ms. */
export const DRAIN_TIMEOUT_MS = 15_000;
/** Longest time one component may take to stop, in ms. */
export const STOP_TIMEOUT_MS = 5_000;

/** Readiness condition that holds from the end of the start to the beginning of the stop. */
export const RUNNING_CONDITION = 'running';

/** A part of a process that starts and stops. Every phase is optional and bounded in time. */
export interface Component {
  /** Names the part in logs. */
  readonly name: string;
  /** Takes up resources and begins. `signal` aborts when the process is told to stop or the time is up. */
  start?(signal: AbortSignal): Promise<void> | void;
  /** Resolves once the part can do its work. Until it has, the readiness condition of its name does not hold. */
  ready?(signal: AbortSignal): Promise<void> | void;
  /** Takes no new work and finishes what it has. */
  drain?(): Promise<void> | void;
  /** Gives everything back. Also called after a start that failed or did not end. */
  stop?(): Promise<void> | void;
  /** Bounds that differ from the usual ones, in ms. */
  readonly timeoutsMs?: Partial<PhaseTimeouts>;
}

export interface PhaseTimeouts {
  readonly start: number;
  readonly ready: number;
  readonly drain: number;
  readonly stop: number;
}

export interface LifecycleOptions {
  readonly logger: Logger;
  /** In order of start; drained and stopped in reverse, so that the last to start, the way in, is the first to close. */
  readonly components: readonly Component[];
  /** Shared with the admin and RPC servers; by default a new one. */
  readonly readiness?: Readiness;
  readonly timers?: Timers;
}

/** What did not end well while stopping; both empty after a clean stop. */
export interface StopReport {
  /** `<component> <phase>` of what threw. */
  readonly failed: readonly string[];
  /** `<component> <phase>` of what took too long. */
  readonly timedOut: readonly string[];
}

export interface Lifecycle {
  readonly readiness: Readiness;
  /**
   * Starts each component, then waits until each is ready. Where one fails, the started ones are stopped again.
   * @throws LifecycleError `start-failed` (with `cause`), `start-timeout`, `interrupted` (stopped meanwhile), `bad-order`
   */
  start(): Promise<void>;
  /** Not ready any more; drains all components, then stops all. Never rejects. Further calls return the same promise. */
  stop(): Promise<StopReport>;
}

const DEFAULT_TIMEOUTS: PhaseTimeouts = {
  start: START_TIMEOUT_MS,
  ready: READY_TIMEOUT_MS,
  drain: DRAIN_TIMEOUT_MS,
  stop: STOP_TIMEOUT_MS,
};

type PhaseOutcome =
  { readonly kind: 'done' | 'timeout' | 'interrupted' } | { readonly kind: 'failed'; readonly error: unknown };

/** Orders the start and the stop of a process's components. */
export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { logger, components, readiness = createReadiness(), timers = systemTimers } = options;
  const interruption = new AbortController();
  const begun: Component[] = [];
  let starting: Promise<void> | undefined;
  let stopping: Promise<StopReport> | undefined;

  readiness.set(RUNNING_CONDITION, false);
  for (const component of components) if (component.ready !== undefined) readiness.set(component.name, false);

  const runPhase = (component: Component, phase: keyof PhaseTimeouts): Promise<PhaseOutcome> => {
    const timeoutMs = component.timeoutsMs?.[phase] ?? DEFAULT_TIMEOUTS[phase];
    const interruptible = phase === 'start' || phase === 'ready';
    return bounded(timers, timeoutMs, interruptible ? interruption.signal : undefined, (signal) =>
      component[phase]?.(signal),
    );
  };

  const enter = async (component: Component, phase: 'start' | 'ready'): Promise<void> => {
    const { name } = component;
    const outcome = interruption.signal.aborted ? ({ kind: 'interrupted' } as const) : await runPhase(component, phase);
    switch (outcome.kind) {
      case 'done':
        logger.debug({ component: name, phase }, 'phase done');
        return;
      case 'failed': {
        const why = outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
        throw new LifecycleError('start-failed', `${name} could not ${verb(phase)}: ${why}`, { cause: outcome.error });
      }
      case 'timeout':
        throw new LifecycleError('start-timeout', `${name} did not ${verb(phase)} in time`);
      case 'interrupted':
        throw new LifecycleError('interrupted', `told to stop before ${name} could ${verb(phase)}`);
    }
  };

  const startAll = async (): Promise<void> => {
    for (const component of components) {
      if (!interruption.signal.aborted) begun.push(component);
      await enter(component, 'start');
    }
    for (const component of components) {
      if (component.ready === undefined) continue;
      await enter(component, 'ready');
      readiness.set(component.name, true);
    }
    readiness.set(RUNNING_CONDITION, true);
  };

  const stopAll = async (): Promise<StopReport> => {
    const report = { failed: [] as string[], timedOut: [] as string[] };
    readiness.set(RUNNING_CONDITION, false);
    interruption.abort();
    // A start under way ends at once now; what it had begun is known afterwards.
    await starting?.catch(() => {});
    for (const phase of ['drain', 'stop'] as const) {
      for (const component of begun.toReversed()) {
        const outcome = await runPhase(component, phase);
        if (outcome.kind === 'done') continue;
        const what = `${component.name} ${phase}`;
        (outcome.kind === 'failed' ? report.failed : report.timedOut).push(what);
        logger.error(outcome.kind === 'failed' ? { err: outcome.error } : {}, `${what} ended badly: ${outcome.kind}`);
      }
    }
    return report;
  };

  const stop = (): Promise<StopReport> => (stopping ??= stopAll());

  return {
    readiness,
    async start() {
      if (starting !== undefined || stopping !== undefined)
        throw new LifecycleError('bad-order', 'a lifecycle starts once, and not after its stop');
      starting = startAll();
      try {
        await starting;
      } catch (error) {
        await stop();
        throw error;
      }
    },
    stop,
  };
}

function verb(phase: 'start' | 'ready'): string {
  return phase === 'start' ? 'start' : 'become ready';
}

/** Runs `work` until it ends, the time is up, or `interruption` aborts; the signal that `work` gets aborts in the last two. */
function bounded(
  timers: Timers,
  timeoutMs: number,
  interruption: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<void> | void,
): Promise<PhaseOutcome> {
  return new Promise((resolve) => {
    const abort = new AbortController();
    const end = (outcome: PhaseOutcome): void => {
      timers.clearTimeout(timer);
      interruption?.removeEventListener('abort', interrupt);
      resolve(outcome);
      if (outcome.kind === 'timeout' || outcome.kind === 'interrupted') abort.abort();
    };
    const interrupt = (): void => end({ kind: 'interrupted' });
    const timer = timers.setTimeout(() => end({ kind: 'timeout' }), timeoutMs);
    interruption?.addEventListener('abort', interrupt);
    new Promise<void>((done) => done(work(abort.signal))).then(
      () => end({ kind: 'done' }),
      (error: unknown) => end({ kind: 'failed', error }),
    );
  });
}
