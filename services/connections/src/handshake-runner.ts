import type { Socket } from 'node:net';
import { constants, deflateSync } from 'node:zlib';
import { encodeBye, ZERO_GUID, type HandshakeOutcome, type HandshakeStep } from '@filbert/gnutella';

/** From the connection to the last block (docs/protocol/12 §4). */
export const HANDSHAKE_TIMEOUT_MS = 30_000;
/** A refusal is given this long to leave before the socket is destroyed. */
const REFUSAL_GRACE_MS = 2_000;

/** Either side of packages/gnutella's handshakes. */
export interface HandshakeMachine {
  receive(chunk: Uint8Array): HandshakeStep;
}

export interface RunHandshakeOptions {
  readonly socket: Socket;
  readonly machine: HandshakeMachine;
  /** Bytes read before, the beginning of the peer's first block. */
  readonly first?: Uint8Array;
  /** Bytes to send first: block 1 of a dial. */
  readonly opening?: Uint8Array;
  readonly timeoutMs?: number;
  /** What a peer is sent that was refused. */
  readonly farewell?: (outcome: HandshakeOutcome) => Uint8Array | undefined;
  /**
   * Called exactly once. With `connected` the socket is still open and has no listeners of ours; otherwise it is
   * closing.
   */
  readonly done: (outcome: HandshakeOutcome | { readonly kind: 'lost'; readonly reason: string }) => void;
}

/** Moves bytes between a socket and a handshake machine until there is an outcome, a close or the time is up. */
export function runHandshake(options: RunHandshakeOptions): void {
  const { socket, machine, done } = options;
  let over = false;

  const finish = (outcome: Parameters<typeof done>[0]): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('close', onClose);
    if (outcome.kind === 'connected') {
      socket.off('error', onError);
      // Nothing may be lost between two listeners: the link resumes it.
      socket.pause();
    } else {
      const farewell = outcome.kind === 'lost' ? undefined : options.farewell?.(outcome);
      if (farewell !== undefined && !socket.destroyed) socket.write(farewell);
      endGently(socket);
    }
    done(outcome);
  };
  const step = (taken: HandshakeStep): void => {
    if (taken.send !== undefined) socket.write(taken.send);
    if (taken.outcome !== undefined) finish(taken.outcome);
  };
  const onData = (chunk: Buffer): void => step(machine.receive(chunk));
  const onError = (error: Error): void => finish({ kind: 'lost', reason: error.message });
  const onClose = (): void => finish({ kind: 'lost', reason: 'connection closed' });
  const timer = setTimeout(
    () => finish({ kind: 'lost', reason: 'handshake timed out' }),
    options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS,
  );
  timer.unref();

  socket.setNoDelay(true);
  socket.on('error', onError);
  socket.on('close', onClose);
  socket.on('data', onData);
  if (options.opening !== undefined) socket.write(options.opening);
  if (options.first !== undefined && options.first.length > 0) step(machine.receive(options.first));
  if (!over) socket.resume();
}

/**
 * The BYE for a peer that is refused after its last block, when the link had begun; undefined where none is due
 * (docs/protocol/01 §6).
 */
export function byeAfterHandshake(outcome: HandshakeOutcome, userAgent: string): Uint8Array | undefined {
  if (outcome.kind !== 'refused' || outcome.afterBlock3 === undefined || outcome.peer?.bye !== true) return undefined;
  const bye = encodeBye(ZERO_GUID, outcome.code, outcome.reason, { Server: userAgent });
  return outcome.afterBlock3.deflateOut ? deflateSync(bye, { finishFlush: constants.Z_SYNC_FLUSH }) : bye;
}

/** Sends what was written, closes, and does not wait for the peer for long. */
export function endGently(socket: Socket): void {
  if (socket.destroyed) return;
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), REFUSAL_GRACE_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}
