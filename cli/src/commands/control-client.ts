import { createRpcClient, parseHostPort, RpcError, type FlagValues, type HostPort } from '@filbert/kit';
import { findControl } from '../control-file.ts';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { tolerateClosedOutput } from './interruption.ts';
import { printable } from './show.ts';

/** A call to the node may take this long. */
export const CALL_TIMEOUT_MS = 5_000;
/** Longest sentence of the node that is printed, in characters; peers may have chosen parts of it. */
export const MAX_SENTENCE_CHARS = 300;

export type Client = ReturnType<typeof createRpcClient>;

/**
 * Calls the node that `--control`, or the data folder of `--data`, names; closes the connection afterwards.
 * @throws CommandError with a sentence where it cannot be reached or refuses
 */
export async function withNode<T>(flags: FlagValues, work: (client: Client) => Promise<T>): Promise<T> {
  tolerateClosedOutput();
  const address = controlAddress(flags);
  const token = process.env['FILBERT_CONTROL_TOKEN'];
  const client = createRpcClient({ address, ...(token === undefined || token === '' ? {} : { token }) });
  try {
    return await work(client);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const away = error.code === 'unavailable' || error.code === 'deadline-exceeded';
    throw new CommandError(
      away ? ExitCode.unavailable : ExitCode.failed,
      `the node at ${address.host}:${address.port} ${away ? 'does not answer: is it running?' : `refused: ${printable(error.message, MAX_SENTENCE_CHARS)}`}`,
      { cause: error },
    );
  } finally {
    client.close();
  }
}

function controlAddress(flags: FlagValues): HostPort {
  const given = flags['control'] ?? process.env['FILBERT_CONTROL'];
  if (typeof given === 'string' && given !== '') {
    const address = parseHostPort(given);
    if (address === undefined || address.port === 0) {
      throw new CommandError(ExitCode.usage, `--control ${given}: it must be HOST:PORT`);
    }
    return address;
  }
  const data = flags['data'] ?? process.env['FILBERT_DATA'];
  return findControl(typeof data === 'string' && data !== '' ? data : './data');
}
