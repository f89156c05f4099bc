import {
  createRpcClient,
  formatHostPort,
  parseHostPort,
  RpcError,
  unknownVariables,
  type FlagValues,
  type HostPort,
} from '@filbert/kit';
import { routerConfig } from '@filbert/router';
import { findControl } from './control-file.ts';
import { SERVICE_AWAY, type RpcClient } from './asking.ts';
import { openNodeServices, type NodeServices } from './node-services.ts';
import { parseServiceAddresses, type ServiceAddresses } from './service-addresses.ts';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { nodeConfig } from '../node-config.ts';
import { printable } from '../commands/show.ts';

/** A call to the node may take this long. */
export const CALL_TIMEOUT_MS = 5_000;
/** Longest sentence of the node that is printed, in characters; peers may have chosen parts of it. */
export const MAX_SENTENCE_CHARS = 300;

export type Client = RpcClient;

/**
 * Calls the node that `--control`, or the data folder of `--data`, names; closes the connection afterwards.
 * @throws CommandError with a sentence where it cannot be reached or refuses
 */
export async function withNode<T>(flags: FlagValues, work: (client: Client, reopen: Reopen) => Promise<T>): Promise<T> {
  const node = await openNode(flags);
  try {
    return await work(node.client, node.reopen);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const sentence = printable(error.message, MAX_SENTENCE_CHARS);
    if (error.code === SERVICE_AWAY) throw new CommandError(ExitCode.unavailable, sentence, { cause: error });
    const away = error.code === 'unavailable' || error.code === 'deadline-exceeded';
    throw new CommandError(
      away ? ExitCode.unavailable : ExitCode.failed,
      `${node.name} ${away ? 'does not answer: is it running?' : `refused: ${sentence}`}`,
      { cause: error },
    );
  } finally {
    await node.close();
  }
}

/** A client of the node as it can be reached now: one that was started again may listen elsewhere. */
export type Reopen = () => Client;

interface OpenNode extends NodeServices {
  /** In sentences. */
  readonly name: string;
  readonly reopen: Reopen;
}

async function openNode(flags: FlagValues): Promise<OpenNode> {
  // Only warned of: a command reads few of them, and may run beside a node or with the variables of the compose file.
  for (const sentence of unknownVariables([nodeConfig, routerConfig], process.env)) {
    process.stderr.write(`warning: ${sentence}\n`);
  }
  const token = controlToken();
  const given = controlFlag(flags);
  if (given?.includes('=') === true) {
    const services = await openNodeServices(serviceAddresses(given), token);
    return { name: 'the node', ...services, reopen: () => services.client };
  }
  let address = given === undefined ? findControl(dataFolder(flags)) : controlAddress(given);
  let client = createRpcClient({ address, token });
  return {
    name: `the node at ${formatHostPort(address)}`,
    client,
    reopen() {
      const now = given === undefined ? controlNow(flags, address) : address;
      if (now.port !== address.port || now.host !== address.host) {
        client.close();
        address = now;
        client = createRpcClient({ address, token });
      }
      return client;
    },
    close() {
      client.close();
      return Promise.resolve();
    },
  };
}

/** Where the node of the data folder listens; as before while it is away. */
function controlNow(flags: FlagValues, before: HostPort): HostPort {
  try {
    return findControl(dataFolder(flags));
  } catch {
    return before;
  }
}

/** Undefined where the node's data folder tells: also where a node beside us is told to listen on any free port. */
function controlFlag(flags: FlagValues): string | undefined {
  const flag = flags['control'];
  if (typeof flag === 'string' && flag !== '') return flag;
  const variable = process.env['FILBERT_CONTROL'] ?? '';
  return variable === '' || parseHostPort(variable)?.port === 0 ? undefined : variable;
}

function controlToken(): string | undefined {
  const token = process.env['FILBERT_CONTROL_TOKEN'];
  return token === '' ? undefined : token;
}

function dataFolder(flags: FlagValues): string {
  const data = flags['data'] ?? process.env['FILBERT_DATA'];
  return typeof data === 'string' && data !== '' ? data : './data';
}

function controlAddress(given: string): HostPort {
  const address = parseHostPort(given);
  if (address === undefined || address.port === 0) {
    throw new CommandError(
      ExitCode.usage,
      `--control ${given}: it must be HOST:PORT, or SERVICE=HOST:PORT for each service`,
    );
  }
  return address;
}

function serviceAddresses(given: string): ServiceAddresses {
  try {
    return parseServiceAddresses(given);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(ExitCode.usage, `--control ${given}: ${why}`, { cause: error });
  }
}
