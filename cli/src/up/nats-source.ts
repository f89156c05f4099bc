import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { connectNats, makeFolder, type Logger } from '@filbert/kit';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { KeptProcess } from './kept-process.ts';
import type { OrphanGuard } from './orphan-guard.ts';
import { freePort } from './ports.ts';

const BINARY = 'nats-server';
const HOST = '127.0.0.1';
/** Between two attempts to connect to a nats-server that is starting, ms. */
const PROBE_INTERVAL_MS = 20;
/** Somebody else may take the port between its choice and its use: other ports are tried this often. */
const MAX_PORT_ATTEMPTS = 3;
/** Longest time that nats-server may take to stop before it is killed, ms. */
const STOP_TIMEOUT_MS = 3_000;
/** Longest time that one that was left behind may take to let go of the store, ms. */
const STORE_WAIT_MS = 15_000;
/** Keeps a second server from the store of the first: two would spoil it. Of util-linux; without it nothing does. */
const LOCK = 'flock';

/** The NATS server of a node. */
export interface NatsSource {
  /** URLs; known once started. */
  readonly servers: readonly string[];
  /** How often our own server was started again. */
  readonly restarts: number;
  /** Resolves once the server takes connections. @throws Error with a sentence */
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  /** Ends our own server at once. */
  kill(): void;
}

/** A NATS server that others run; it is waited for, and `say` is told so every 5 s. */
export function givenNats(servers: readonly string[], say: (sentence: string) => void): NatsSource {
  return {
    servers,
    restarts: 0,
    start: async (signal) => {
      const connection = await connectNats({ servers, name: 'filbert', signal, onWaiting: say });
      await connection.close();
    },
    stop: () => Promise.resolve(),
    kill: () => undefined,
  };
}

/**
 * Where nats-server lies.
 * @throws CommandError `unavailable` with a sentence where it is not on the PATH
 */
export function findNatsServer(path: string): string {
  const found = findOnPath(BINARY, path);
  if (found !== undefined) return found;
  throw new CommandError(
    ExitCode.unavailable,
    'nats-server is not on the PATH: install it (Debian: apt-get install nats-server), name a server with --nats, or run without --processes',
  );
}

function findOnPath(program: string, path: string): string | undefined {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, program);
    try {
      accessSync(file, constants.X_OK);
      if (folder !== '' && statSync(file).isFile()) return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

export interface OwnNatsOptions {
  readonly binary: string;
  readonly guard: OrphanGuard;
  readonly logger: Logger;
  /** Folder of what it keeps on disk; made by it. */
  readonly store: string;
  /** It takes connections, or does not any more. */
  readonly onUp: (up: boolean) => void;
}

/**
 * A nats-server of our own, on the loopback interface and a free port, so that two nodes never meet, with
 * JetStream in a folder of the node. Started again on the same port when it dies. Like any server on loopback without a password it can be reached by
 * other users of the machine: where they are not trusted, give a server with credentials by --nats.
 */
export class OwnNats implements NatsSource {
  readonly #options: OwnNatsOptions;
  #process: KeptProcess | undefined;
  #port = 0;
  #lastLine = '';
  /** Aborts the wait for a server that has ended. */
  #probe = new AbortController();
  readonly #stopped = new AbortController();

  constructor(options: OwnNatsOptions) {
    this.#options = options;
  }

  get servers(): readonly string[] {
    return [`nats://${HOST}:${this.#port}`];
  }

  get restarts(): number {
    return this.#process?.restarts ?? 0;
  }

  async start(signal: AbortSignal): Promise<void> {
    makeStore(this.#options.store);
    for (let attempt = 1; ; attempt++) {
      this.#port = await freePort(HOST);
      if (await this.#startOnce(signal)) return;
      signal.throwIfAborted();
      if (attempt >= MAX_PORT_ATTEMPTS)
        throw new Error(`${BINARY} ended at once: ${this.#lastLine || `another one may have ${this.#options.store}`}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#process?.stop(STOP_TIMEOUT_MS);
  }

  kill(): void {
    this.#stopped.abort();
    this.#process?.kill();
  }

  /** Starts it on the port. Resolves with whether it takes connections; if not, it has ended. */
  #startOnce(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const { binary, guard, logger, store, onUp } = this.#options;
      const [command, ...lock] = underLock(binary, store);
      const kept = new KeptProcess({
        name: BINARY,
        guard,
        logger,
        launch: () =>
          spawn(command, [...lock, '-a', HOST, '-p', String(this.#port), '-js', '-sd', store], {
            stdio: ['ignore', 'ignore', 'pipe'],
            detached: true,
          }),
        onStarted: (child) => {
          this.#readLog(child);
          this.#probe = new AbortController();
          const wanted = AbortSignal.any([signal, this.#probe.signal, this.#stopped.signal]);
          void this.#answers(wanted).then((up) => {
            if (!up) return;
            kept.keep();
            onUp(true);
            resolve(true);
          });
        },
        onEnded: () => {
          this.#probe.abort();
          onUp(false);
          resolve(false);
        },
      });
      this.#process = kept;
      kept.start();
    });
  }

  /** Whether the server took a connection before `wanted` aborted. */
  async #answers(wanted: AbortSignal): Promise<boolean> {
    try {
      const connection = await connectNats({
        servers: this.servers,
        name: 'filbert',
        signal: wanted,
        reconnectWaitMs: PROBE_INTERVAL_MS,
        reconnectJitterMs: 0,
      });
      await connection.close();
      return !wanted.aborted;
    } catch {
      return false;
    }
  }

  #readLog(child: ChildProcess): void {
    if (child.stderr === null) return;
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#lastLine = line.slice(0, MAX_LINE_CHARS);
      this.#options.logger.debug({ process: BINARY }, this.#lastLine);
    });
  }
}

/** Longest line of the server's log that is kept, characters. */
const MAX_LINE_CHARS = 500;

/**
 * The command that runs a server on this store, once no other one does. The lock is the server's own: it lasts as long as
 * that process, also where its node was killed.
 */
function underLock(binary: string, store: string): [command: string, ...args: string[]] {
  const flock = findOnPath(LOCK, process.env['PATH'] ?? '');
  if (flock === undefined) return [binary];
  return [flock, '--wait', String(STORE_WAIT_MS / 1_000), '--no-fork', join(store, 'lock'), binary];
}

/** @throws Error with a sentence where the folder cannot be used: nats-server itself would not name --data */
function makeStore(folder: string): void {
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot use ${folder}: ${reason}; check --data and the rights on that folder`, { cause });
  }
}
