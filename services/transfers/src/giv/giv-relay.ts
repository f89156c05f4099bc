import { pipeline } from 'node:stream/promises';
import { guidToHex, parsePeerAddress } from '@filbert/gnutella';
import { encodeProxyHeader, giv } from '@filbert/contracts';
import { BusError, type Bus } from '@filbert/kit';
import type { Connection } from '../network/connection.ts';
import { dial } from '../network/dial.ts';
import { encodeGivLine, type GivLine } from './giv-line.ts';

const CLAIM_TIMEOUT_MS = 1_000;
const DIAL_TIMEOUT_MS = 5_000;

/**
 * Brings a GIV that nobody here waits for to the worker that does, and carries the connection's bytes until it ends.
 * @param begun called once another worker has claimed it
 * @returns false where none does
 */
export async function relayGiv(
  bus: Bus,
  workerId: string,
  connection: Connection,
  line: GivLine,
  begun: () => void,
): Promise<boolean> {
  const worker = await claimant(bus, line);
  const address = parsePeerAddress(worker?.internalAddress ?? '');
  if (worker === undefined || worker.workerId === workerId || address === undefined) return false;
  const socket = await dial(address, DIAL_TIMEOUT_MS);
  if (socket === undefined) return false;
  begun();
  const peer = connection.socket;
  const destination = { host: peer.localAddress ?? '0.0.0.0', port: peer.localPort ?? 0 };
  socket.write(encodeProxyHeader({ source: connection.remote, destination }));
  socket.write(encodeGivLine(line));
  const rest = connection.takeHeld();
  if (rest.length > 0) socket.write(rest);
  connection.release();
  // Either side's end or failure ends both.
  await Promise.allSettled([pipeline(peer, socket), pipeline(socket, peer)]);
  return true;
}

async function claimant(
  bus: Bus,
  { serventGuid, index, fileName }: GivLine,
): Promise<{ readonly workerId: string; readonly internalAddress: string } | undefined> {
  try {
    const message = { serventGuid, index, fileName };
    return await bus.request(giv(guidToHex(serventGuid)), message, { timeoutMs: CLAIM_TIMEOUT_MS });
  } catch (error) {
    if (error instanceof BusError) return undefined;
    throw error;
  }
}
