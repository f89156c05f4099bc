import { spawn, type ChildProcess } from 'node:child_process';
import { createRpcClient, parseHostPort, type HostPort, type Logger, type ServiceReport } from '@filbert/kit';
import type { RpcClient } from '../control/asking.ts';
import type { ServiceKind } from '../service-kinds.ts';
import { KeptProcess } from './kept-process.ts';
import type { OrphanGuard } from './orphan-guard.ts';

/** Longest time that a service may take to stop before it is killed, ms: it says good-bye to its peers. */
export const SERVICE_STOP_TIMEOUT_MS = 12_000;

/** How one service process is started. */
export interface ServicePlan {
  /** `router-0`: in logs, metrics and /readyz. */
  readonly name: string;
  readonly kind: ServiceKind;
  /** Path of its main module. */
  readonly entry: string;
  /** Its whole environment, asked for at each start. */
  readonly env: () => Readonly<Record<string, string>>;
}

export interface ServiceChildOptions {
  readonly plan: ServicePlan;
  /** What its control calls must carry. */
  readonly controlToken: string;
  readonly guard: OrphanGuard;
  readonly logger: Logger;
  /** It became ready, or is no longer. */
  readonly onReady: (ready: boolean) => void;
}

/** One service as a process below the supervisor: started, started again when it dies, asked over its own ports. */
export class ServiceChild {
  readonly #options: ServiceChildOptions;
  readonly #process: KeptProcess;
  #admin: HostPort | undefined;
  #client: RpcClient | undefined;
  #ready = false;
  /** Why it could not start, in its own words. */
  #sentence: string | undefined;
  #firstReady: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  constructor(options: ServiceChildOptions) {
    this.#options = options;
    const { plan, guard, logger } = options;
    this.#process = new KeptProcess({
      name: plan.name,
      guard,
      logger,
      launch: () =>
        spawn(process.execPath, [plan.entry], {
          env: plan.env(),
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
          detached: true,
        }),
      onStarted: (child) => this.#listen(child),
      onEnded: (how) => this.#onEnded(how),
    });
  }

  get name(): string {
    return this.#options.plan.name;
  }

  get kind(): ServiceKind {
    return this.#options.plan.kind;
  }

  get restarts(): number {
    return this.#process.restarts;
  }

  /** Whether it lives and does its work. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Where it answers /metrics.json; undefined while it does not. */
  get admin(): HostPort | undefined {
    return this.#admin;
  }

  /** For control calls; undefined while it takes none. */
  get client(): RpcClient | undefined {
    return this.#client;
  }

  /**
   * Starts it and waits until it does its work, as long as that takes; from then on it is kept.
   * @throws Error with its own sentence where it ends before that
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#firstReady = { resolve, reject };
      this.#process.start();
    });
  }

  /** Ends it for good. */
  stop(): Promise<void> {
    return this.#process.stop(SERVICE_STOP_TIMEOUT_MS);
  }

  /** Ends it at once and for good. */
  kill(): void {
    this.#process.kill();
  }

  #listen(child: ChildProcess): void {
    this.#sentence = undefined;
    child.on('message', (message) => this.#onReport(message as ServiceReport));
  }

  #onReport(report: ServiceReport): void {
    switch (report.kind) {
      case 'ready': {
        this.#admin = parseHostPort(report.admin);
        const control = parseHostPort(report.control);
        this.#client ??=
          control === undefined ? undefined : createRpcClient({ address: control, token: this.#options.controlToken });
        this.#process.keep();
        this.#firstReady?.resolve();
        this.#setReady(true);
        return;
      }
      case 'waiting':
        this.#setReady(false);
        return;
      case 'failed':
        this.#sentence = report.sentence;
        return;
    }
  }

  #onEnded(how: string): void {
    this.#admin = undefined;
    this.#client?.close();
    this.#client = undefined;
    this.#setReady(false);
    // Of the first start whoever waits for it hears.
    if (this.#process.kept && this.#sentence !== undefined) {
      this.#options.logger.error({ process: this.name }, this.#sentence);
    }
    this.#firstReady?.reject(new Error(this.#sentence ?? `it ${how} before it was ready`));
  }

  #setReady(ready: boolean): void {
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#options.onReady(ready);
  }
}
