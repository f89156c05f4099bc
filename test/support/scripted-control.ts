import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bootstrapV1, searchV1, transfersV1 } from '@filbert/contracts';
import {
  createLogger,
  createReadiness,
  createRpcServer,
  formatHostPort,
  RpcError,
  rpcService,
  type HostPort,
  type RpcHandlers,
} from '@filbert/kit';
import type { CommandResult } from './node-process.ts';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
/** A command that does not end is killed after this, in ms. */
const COMMAND_TIMEOUT_MS = 15_000;

type SearchHandlers = RpcHandlers<typeof searchV1.SearchServiceService>;
type TransfersHandlers = RpcHandlers<typeof transfersV1.TransfersServiceService>;
type BootstrapHandlers = RpcHandlers<typeof bootstrapV1.BootstrapServiceService>;

/** What a node answers; a call without a script fails as `unimplemented`. */
export interface ControlScript {
  readonly search?: Partial<SearchHandlers>;
  readonly transfers?: Partial<TransfersHandlers>;
  readonly bootstrap?: Partial<BootstrapHandlers>;
}

/** The control server of a node that does nothing but say what a test wrote for it. */
export interface ScriptedControl {
  /** HOST:PORT for `--control`. */
  readonly address: string;
  stop(): Promise<void>;
}

function unscripted(): never {
  throw new RpcError('unimplemented', 'the test has no script for this call');
}

/** Starts a control server; `listen` where a second one must take the place of a first. */
export async function scriptControl(script: ControlScript, listen?: HostPort): Promise<ScriptedControl> {
  const services = [
    rpcService(searchV1.SearchServiceService, {
      search: unscripted,
      lookUp: unscripted,
      browse: unscripted,
      getStats: unscripted,
      rescan: unscripted,
      addShare: unscripted,
      removeShare: unscripted,
      listShares: unscripted,
      ...script.search,
    }),
    rpcService(transfersV1.TransfersServiceService, {
      startDownload: unscripted,
      findDownload: () => {
        throw new RpcError('not-found', 'there is no download of that file');
      },
      watchDownloads: unscripted,
      listDownloads: unscripted,
      listOthersDownloads: () => ({ downloads: [] }),
      pauseDownload: unscripted,
      resumeDownload: unscripted,
      cancelDownload: unscripted,
      listUploads: unscripted,
      ...script.transfers,
    }),
    rpcService(bootstrapV1.BootstrapServiceService, {
      getFacts: unscripted,
      listHosts: unscripted,
      addHost: unscripted,
      ...script.bootstrap,
    }),
  ];
  const logger = createLogger({ level: 'silent', name: 'test' });
  const server = createRpcServer({
    services,
    logger,
    health: createReadiness(),
    drainMs: 50,
    ...(listen && { listen }),
  });
  const address = formatHostPort(await server.start());
  return { address, stop: () => server.stop() };
}

/** A stream of these messages, which then ends or, with `stays`, stays open until the caller leaves. */
export async function* streamOf<T>(messages: readonly T[], stays?: AbortSignal): AsyncGenerator<T, void, undefined> {
  yield* messages;
  if (stays === undefined) return;
  await new Promise<void>((resolve) => stays.addEventListener('abort', () => resolve(), { once: true }));
}

/** Runs a command and sends it a signal, or closes the pipe that it writes to, once stdout or stderr holds a text. */
export async function interruptFilbert(
  args: readonly string[],
  when: string,
  signal: 'SIGINT' | 'SIGTERM' | 'closed pipe' = 'SIGINT',
): Promise<CommandResult> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  let isSent = false;
  const onText = (stream: 'stdout' | 'stderr', text: string): void => {
    output[stream] += text;
    if (isSent || !output[stream].includes(when)) return;
    isSent = true;
    if (signal === 'closed pipe') child.stdout.destroy();
    else child.kill(signal);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => onText('stdout', text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => onText('stderr', text));
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_TIMEOUT_MS);
  const end = await new Promise<Pick<CommandResult, 'code' | 'signal'>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, endSignal) => resolve({ code, signal: endSignal }));
  }).finally(() => clearTimeout(timer));
  return { ...end, ...output };
}
