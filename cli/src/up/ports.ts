import { createServer } from 'node:net';
import { listenError, type HostPort } from '@filbert/kit';
import { CommandError, ExitCode } from '../exit-codes.ts';

/** A port of `host` that is free now. */
export function freePort(host: string): Promise<number> {
  return bindOnce({ host, port: 0 });
}

/**
 * The address that several processes will share, with its port: they bind it in a way that lets others bind it too, and
 * would not notice another program there. Port 0 becomes a free one, for each process would get another.
 * @throws CommandError with a sentence where the address is taken or not this machine's
 */
export async function sharedAddress(listen: HostPort): Promise<HostPort> {
  try {
    return { host: listen.host, port: await bindOnce(listen) };
  } catch (cause) {
    throw new CommandError(ExitCode.failed, listenError('Gnutella', listen, cause, 'listen').message, { cause });
  }
}

/** Binds an address for a moment. */
function bindOnce({ host, port }: HostPort): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const bound = server.address();
      const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
      server.close(() => resolve(boundPort));
    });
  });
}
