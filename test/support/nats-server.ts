// A real nats-server for tests: on the loopback interface, on a port of its own, with its files in a temporary folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './wait-for.ts';

const START_TIMEOUT_MS = 10_000;

export interface NatsServerOptions {
  /** The port to listen on. Default: a free one. */
  readonly port?: number;
  /** Whether JetStream is on. Default false. */
  readonly jetStream?: boolean;
  /** Further lines for the server's configuration file. */
  readonly config?: string;
}

export interface NatsServer {
  readonly port: number;
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  /** Ends the server in an orderly way and removes its files. Does nothing when it has ended. */
  stop(): Promise<void>;
  /** Ends the server as a crash would (SIGKILL). Its files stay for `restart`. */
  kill(): Promise<void>;
  /** Starts the server again, on the same port, with its files. */
  restart(): Promise<void>;
  /** Makes the server stand still, its connections open (SIGSTOP), and lets it go on (SIGCONT). */
  pause(): void;
  resume(): void;
}

/** A port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the system gave no port');
  return address.port;
}

/**
 * Starts a nats-server and waits until it takes connections.
 * @throws Error when nats-server is not installed or does not start
 */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const port = options.port ?? (await freePort());
  const folder = await mkdtemp(join(tmpdir(), 'filbert-nats-'));
  const configFile = join(folder, 'nats.conf');
  await writeFile(configFile, options.config ?? '');
  const flags = ['-a', '127.0.0.1', '-p', String(port), '-c', configFile, '-l', join(folder, 'log'), '-sd', folder];
  if (options.jetStream === true) flags.push('-js');
  const start = (): Promise<ChildProcess> => launch(flags, port, join(folder, 'log'));
  let child = await start();
  return {
    port,
    url: `nats://127.0.0.1:${port}`,
    stop: async () => {
      child.kill('SIGCONT');
      await end(child, 'SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
    kill: () => end(child, 'SIGKILL'),
    restart: async () => {
      await end(child, 'SIGKILL');
      child = await start();
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
  };
}

async function launch(flags: string[], port: number, logFile: string): Promise<ChildProcess> {
  const child = spawn('nats-server', flags, { stdio: 'ignore' });
  const atExit = (): void => void child.kill('SIGKILL');
  process.once('exit', atExit);
  child.once('exit', () => process.removeListener('exit', atExit));
  try {
    await once(child, 'spawn');
  } catch (error) {
    process.removeListener('exit', atExit);
    throw new Error('nats-server is not on the PATH: install it (Debian: apt-get install nats-server)', {
      cause: error,
    });
  }
  await waitFor(
    `nats-server on port ${port}`,
    async () => {
      if (hasEnded(child)) throw new Error(`nats-server ended: ${await readFile(logFile, 'utf8').catch(() => '')}`);
      return takesConnections(port);
    },
    START_TIMEOUT_MS,
  );
  // A test that forgets to stop it must not keep the test run from ending.
  child.unref();
  return child;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  child.ref();
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** Whether a NATS server answers on the port: it speaks first. */
function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const finish = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', finish(true));
    socket.once('error', finish(false));
    socket.once('close', finish(false));
  });
}
