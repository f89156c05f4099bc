import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { commandName, descendants, identify, isRunning, killProcess, type ProcessId } from './process-tree.ts';
import { waitFor } from './wait-for.ts';

/** The repository's root, where the command line is started. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The command line's entry. */
const CLI = join(ROOT, 'cli/src/main.ts');

/** The user and group `nobody` of Debian. */
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];
/** Root, but for the right to read and write what the modes of files forbid. */
const BOUND_TO_MODES = ['--inh-caps=-all', '--bounding-set=-dac_override,-dac_read_search'];

/** How long a node may take until /readyz says 200. */
const READY_TIMEOUT_MS = 30_000;

/** How long a node may take to stop after SIGTERM before it is killed. */
const STOP_TIMEOUT_MS = 15_000;

/** How long killed processes may take to vanish. */
const KILL_TIMEOUT_MS = 5_000;

/** The most lines kept of each of stdout and stderr; the oldest go first. */
const MAX_LINES = 5_000;

/** Every node that was started and not yet ended. */
const running = new Set<NodeProcess>();

/** Ports handed out by `freePort`, so that none is handed out twice while its node starts. */
const handedOut = new Set<number>();

/** How a node is started. */
export interface NodeOptions {
  /** One process per service over NATS instead of all in one. */
  processes?: boolean;
  /** The NATS server's URL; only with `processes`. */
  nats?: string;
  connections?: number;
  routerShards?: number;
  /** Default 127.0.0.1 and a free port. */
  listen?: { host: string; port?: number };
  /** Further flags, such as `--connect`. */
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Default a new folder, removed at the end; a given one stays. */
  dataDir?: string;
  /** The script to run instead of the command line's entry. */
  entry?: string;
  readyTimeoutMs?: number;
  /** Runs it as somebody for whom the modes of files hold, also where the tests are root's. */
  ordinaryUser?: boolean;
}

/** How a process ended. */
export interface ProcessEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** What a command of the command line printed. */
export interface CommandResult extends ProcessEnd {
  stdout: string;
  stderr: string;
}

/** A free port on 127.0.0.1, not handed out before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    if (address === null || typeof address === 'string') throw new Error('no port');
    if (handedOut.has(address.port)) continue;
    handedOut.add(address.port);
    return address.port;
  }
}

/** Runs one `filbert` command to its end; it is killed after the time. */
export async function runFilbert(
  args: readonly string[],
  options: { timeoutMs?: number; env?: Readonly<Record<string, string>>; entry?: string } = {},
): Promise<CommandResult> {
  const child = spawnFilbert(args, options);
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const below = (): ProcessId[] => (child.pid === undefined ? [] : descendants(child.pid));
  const timer = setTimeout(() => {
    for (const descendant of below()) killProcess(descendant);
    child.kill('SIGKILL');
  }, options.timeoutMs ?? STOP_TIMEOUT_MS);
  const end = await new Promise<ProcessEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  }).finally(() => clearTimeout(timer));
  return { ...end, ...output };
}

/** Ends every node that is still there; for an after-all hook, also after a failure. */
export async function stopAllNodes(): Promise<void> {
  await Promise.all([...running].map((node) => node.stop()));
}

// A run that ends without its hooks must not leave nodes behind either.
process.once('exit', () => {
  for (const node of running) node.killNow();
});

/** A node, `filbert up`, as a child process with a data folder of its own. */
export class NodeProcess {
  /** Where raw peers dial. */
  readonly gnutella: { host: string; port: number };
  /** Where /metrics, /livez and /readyz answer. */
  readonly admin: { host: string; port: number };
  readonly dataDir: string;
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  /** Settles when the process ended. */
  readonly exited: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  readonly #ownsData: boolean;
  #ended: ProcessEnd | undefined;
  #closed = false;

  private constructor(child: ChildProcess, dataDir: string, options: NodeOptions, gnutella: string, admin: string) {
    this.#child = child;
    this.dataDir = dataDir;
    this.#ownsData = options.dataDir === undefined;
    this.gnutella = splitAddress(gnutella);
    this.admin = splitAddress(admin);
    collectLines(child.stdout, this.stdout);
    collectLines(child.stderr, this.stderr);
    this.exited = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#ended = { code, signal };
        resolve(this.#ended);
      };
      child.once('exit', end);
      child.once('error', () => end(null, null));
    });
    child.once('close', () => (this.#closed = true));
    running.add(this);
  }

  /** Starts a node and waits until /readyz says 200. @throws Error with what it printed when it ends or stays unready */
  static async start(options: NodeOptions = {}): Promise<NodeProcess> {
    const node = await NodeProcess.spawn(options);
    const timeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
    try {
      await waitFor('/readyz', async () => node.#ended !== undefined || (await node.isReady()), timeoutMs);
      if (node.#ended !== undefined) throw new Error(`it ended with ${JSON.stringify(node.#ended)}`);
      return node;
    } catch (cause) {
      const printed = [...node.stdout.slice(-10), ...node.stderr.slice(-30)].join('\n');
      await node.stop();
      throw new Error(`the node did not start: ${String(cause)}\n${printed}`, { cause });
    }
  }

  /** Starts a node without waiting for it; `start` is what most tests want. */
  static async spawn(options: NodeOptions = {}): Promise<NodeProcess> {
    const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'filbert-test-'));
    if (options.ordinaryUser === true) chmodSync(dataDir, 0o777);
    const gnutella = `${options.listen?.host ?? '127.0.0.1'}:${options.listen?.port ?? (await freePort())}`;
    const admin = `127.0.0.1:${await freePort()}`;
    const args = ['up', '--listen', gnutella, '--admin', admin, '--data', dataDir, '--seeds', 'none'];
    if (options.processes === true) args.push('--processes');
    if (options.nats !== undefined) args.push('--nats', options.nats);
    if (options.connections !== undefined) args.push('--connections', String(options.connections));
    if (options.routerShards !== undefined) args.push('--router-shards', String(options.routerShards));
    args.push(...(options.args ?? []));
    const child = spawnFilbert(args, options);
    return new NodeProcess(child, dataDir, options, gnutella, admin);
  }

  /** The process id of `filbert up` itself. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether the process still runs. */
  get running(): boolean {
    return this.#ended === undefined;
  }

  /** `GNUTELLA` listen address as HOST:PORT, for another node's `--connect`. */
  get address(): string {
    return `${this.gnutella.host}:${this.gnutella.port}`;
  }

  /** What `<data>/control.json` says, by key. @throws Error when the node has not written it */
  control(): Record<string, unknown> {
    const parsed: unknown = JSON.parse(readFileSync(join(this.dataDir, 'control.json'), 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) throw new Error('control.json holds no object');
    return { ...parsed };
  }

  /** Whether /readyz says 200 now. */
  async isReady(): Promise<boolean> {
    try {
      const response = await this.#admin('/readyz');
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  }

  /** The text of /metrics. */
  async metrics(): Promise<string> {
    const response = await this.#admin('/metrics');
    return response.text();
  }

  /** The sum of a metric over all processes and labels that match; NaN where no line does. */
  async metric(name: string, labels = ''): Promise<number> {
    const text = await this.metrics();
    let sum: number | undefined;
    for (const line of text.split('\n')) {
      if (line.startsWith('#') || !line.startsWith(name)) continue;
      const rest = line.slice(name.length);
      if ((rest.startsWith('{') || rest.startsWith(' ')) && rest.includes(labels)) {
        sum = (sum ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1));
      }
    }
    return sum ?? Number.NaN;
  }

  /** The processes below `filbert up`: services and nats-server in `--processes`, none otherwise. */
  descendants(): ProcessId[] {
    return descendants(this.pid);
  }

  /** The processes below whose command line holds this text, such as `services/router` or `nats-server`. */
  childrenLike(text: string): ProcessId[] {
    return this.descendants().filter(({ pid }) => commandLine(pid).includes(text));
  }

  /**
   * Ends the node: SIGTERM, a bound, then SIGKILL. Every process below is gone afterwards.
   * @returns how it ended, and the command names of processes that it had left behind
   */
  async stop(): Promise<ProcessEnd & { leftBehind: string[] }> {
    const below = this.descendants();
    if (this.running) this.#child.kill('SIGTERM');
    const timer = setTimeout(() => {
      below.push(...this.descendants());
      this.#child.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    const end = await this.exited.finally(() => clearTimeout(timer));
    const leftBehind = below.filter(isRunning).map(({ pid }) => commandName(pid));
    await this.#endAll(below);
    return { ...end, leftBehind };
  }

  /** Kills the node with SIGKILL, and the processes below it. */
  async kill(): Promise<ProcessEnd> {
    const below = this.descendants();
    this.#child.kill('SIGKILL');
    const end = await this.exited;
    await this.#endAll(below);
    return end;
  }

  /** Kills what there is without waiting. */
  killNow(): void {
    if (this.running) for (const descendant of this.descendants()) killProcess(descendant);
    this.#child.kill('SIGKILL');
  }

  async #endAll(processes: readonly ProcessId[]): Promise<void> {
    for (const descendant of processes) killProcess(descendant);
    await waitFor('processes below to end', () => this.#closed && !processes.some(isRunning), KILL_TIMEOUT_MS);
    running.delete(this);
    if (this.#ownsData) rmSync(this.dataDir, { recursive: true, force: true });
  }

  #admin(path: string): Promise<Response> {
    return fetch(`http://${this.admin.host}:${this.admin.port}${path}`, { signal: AbortSignal.timeout(5_000) });
  }
}

/** Kills one process below a node, as an accident would, and waits until it is gone. */
export async function killChild(child: ProcessId): Promise<void> {
  killProcess(child);
  await waitFor('the process to end', () => identify(child.pid)?.startTicks !== child.startTicks, KILL_TIMEOUT_MS);
}

function spawnFilbert(args: readonly string[], options: Pick<NodeOptions, 'env' | 'entry' | 'ordinaryUser'>) {
  const asWhom = options.ordinaryUser === true && process.getuid?.() === 0 ? ordinaryUser() : [];
  const [command = process.execPath, ...before] = [...asWhom, process.execPath];
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FILBERT_'));
  return spawn(command, [...before, options.entry ?? CLI, ...args], {
    cwd: ROOT,
    env: { ...Object.fromEntries(inherited), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** What makes root an ordinary user: `nobody`, unless that one may not read this checkout. */
function ordinaryUser(): string[] {
  const canRead = [process.execPath, CLI].every(
    (path) => spawnSync('setpriv', [...NOBODY, '--', 'test', '-r', path]).status === 0,
  );
  return ['setpriv', ...(canRead ? NOBODY : BOUND_TO_MODES), '--'];
}

function collectLines(stream: Readable | null, lines: string[]): void {
  if (stream === null) return;
  createInterface({ input: stream }).on('line', (line) => {
    if (lines.length >= MAX_LINES) lines.shift();
    lines.push(line);
  });
}

function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host, port: Number(address.slice(colon + 1)) };
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
