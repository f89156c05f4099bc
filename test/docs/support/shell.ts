// Commands as somebody types them who has just cloned the repository.
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../../support/wait-for.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** What a fresh clone does not hold, and `docs`, which is copied: a folder that is shared is named by its real path. */
const NOT_LINKED: ReadonlySet<string> = new Set(['.git', 'data', 'coverage', 'docs']);
const KILL_TIMEOUT_MS = 5_000;

/** How a command ended. */
export interface ShellEnd {
  /** As the shell that it was typed in says it: 128 and the number of the signal where one ended it. */
  readonly code: number;
  /** It took too long and was killed. */
  readonly timedOut: boolean;
}

/** A folder that looks like the clone and has no `data`; what stands in it leads to the clone itself. */
export class CloneFolder {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'filbert-tour-')));
  readonly #started: ShellCommand[] = [];

  constructor() {
    for (const name of readdirSync(ROOT)) {
      if (!NOT_LINKED.has(name)) symlinkSync(join(ROOT, name), join(this.path, name));
    }
    cpSync(join(ROOT, 'docs'), join(this.path, 'docs'), { recursive: true });
  }

  /** Starts a command line in a shell of its own. */
  run(line: string, env: Readonly<Record<string, string>> = {}): ShellCommand {
    const command = new ShellCommand(line, this.path, env);
    this.#started.push(command);
    return command;
  }

  /** Ends whatever still runs and removes the folder. */
  async remove(): Promise<void> {
    for (const command of this.#started) command.signal('SIGKILL');
    await waitFor('commands to end', () => this.#started.every(({ ended }) => ended), KILL_TIMEOUT_MS);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A command line that runs, with all that it starts, in a process group of its own. */
export class ShellCommand {
  /** stdout and stderr, as a terminal would show them. */
  output = '';
  ended = false;
  readonly #child: ChildProcess;
  readonly #end: Promise<number>;

  constructor(line: string, cwd: string, env: Readonly<Record<string, string>>) {
    const child = spawn('bash', ['-c', `exec 2>&1\n${line}`], {
      cwd,
      detached: true,
      env: { ...ownEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.#end = new Promise((resolve, reject) => {
      const end = (): void => {
        this.ended = true;
      };
      child.once('error', (cause) => {
        end();
        reject(cause);
      });
      child.once('close', (code, signal) => {
        end();
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  }

  /** A signal to the whole group, as the terminal sends SIGINT on Ctrl-C. */
  signal(signal: NodeJS.Signals): void {
    if (this.ended || this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // The group has ended; only its output is still being read.
    }
  }

  /** Waits for the end of the command and of all that holds its output; it is killed after the time. */
  async end(timeoutMs: number): Promise<ShellEnd> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.signal('SIGKILL');
    }, timeoutMs);
    const code = await this.#end.finally(() => clearTimeout(timer));
    return { code, timedOut };
  }
}

/** The environment without what npm and this clone's own tools put there: neither is in a newcomer's terminal. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const isForeign = (name: string): boolean => /^(npm_|FILBERT_|NODE_|INIT_CWD$)/i.test(name);
  const kept = Object.entries(process.env).filter(([name]) => !isForeign(name));
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !/node_modules\/\.bin$/.test(folder));
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) };
}
