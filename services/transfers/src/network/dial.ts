import { connect, type Socket } from 'node:net';
import type { PeerAddress } from '@filbert/gnutella';

/** Opens a TCP connection. Undefined where that fails or takes too long; `signal` gives up. */
export function dial(address: PeerAddress, timeoutMs: number, signal?: AbortSignal): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve(undefined);
      return;
    }
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    const end = (result: Socket | undefined): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      if (result === undefined) socket.destroy();
      resolve(result);
    };
    const giveUp = (): void => end(undefined);
    const timer = setTimeout(giveUp, timeoutMs);
    signal?.addEventListener('abort', giveUp, { once: true });
    // Stays: an error after the connection was made must find a listener too.
    socket.on('error', giveUp);
    socket.once('connect', () => end(socket));
  });
}
