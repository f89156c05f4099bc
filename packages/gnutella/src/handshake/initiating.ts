// The initiator's side of the handshake (docs/protocol/01-handshake.md §3, §6, §8, §9).

import { GnutellaError } from '../errors.ts';
import { GNUTELLA_MEDIA_TYPE, QUERY_ROUTING_VERSION, readCapabilities } from './capabilities.ts';
import type { PeerCapabilities } from './capabilities.ts';
import { encodingFailure } from './content-encoding.ts';
import { encodeBlock, statusLine } from './encode-block.ts';
import { HeaderBlockReader } from './header-block-reader.ts';
import type { HeaderBlock } from './header-block-reader.ts';
import { capabilityHeaders, checkLocal, checkRefusalCode } from './local-handshake.ts';
import type { HeaderList, LocalHandshake } from './local-handshake.ts';
import { isAcceptance, isSpoken, parseStatusLine } from './start-lines.ts';
import type { Decision, HandshakeFailure, HandshakeOutcome, HandshakeStep } from './step.ts';
import { protocolRefusal } from './vendor-policy.ts';

export interface InitiatingOptions {
  readonly local: LocalHandshake;
  /** The address we dialled, without port. */
  readonly remoteIp: string;
  /** Called once with the peer's block 2, if it accepted us. */
  readonly decide: (peer: PeerCapabilities) => Decision;
}

/**
 * One outgoing handshake: send what `start` returns, then bytes in, steps out. We keep the role of block 1: a peer that
 * says X-Ultrapeer-Needed: False gets our 200 without X-Ultrapeer: False, and decides for itself (§6).
 */
export class InitiatingHandshake {
  readonly #options: InitiatingOptions;
  readonly #reader = new HeaderBlockReader();
  #state: 'idle' | 'hello-sent' | 'ended' | 'connected' = 'idle';

  /** @throws GnutellaError `bad-handshake` when `local` is out of its ranges */
  constructor(options: InitiatingOptions) {
    checkLocal(options.local);
    this.#options = options;
  }

  /**
   * Block 1, to be sent first.
   * @throws GnutellaError `bad-handshake` when called twice
   */
  start(): Uint8Array {
    if (this.#state !== 'idle') throw new GnutellaError('bad-handshake', 'the handshake has begun');
    this.#state = 'hello-sent';
    const { local, remoteIp } = this.#options;
    return encodeBlock('GNUTELLA CONNECT/0.6', capabilityHeaders(local, remoteIp, undefined));
  }

  /**
   * Takes the next bytes from the peer. After a refusal or a failure what still comes is ignored.
   * @throws GnutellaError `bad-handshake` before `start`, after `connected`, and for a decision with an impossible code
   */
  receive(chunk: Uint8Array): HandshakeStep {
    if (this.#state === 'ended') return {};
    if (this.#state !== 'hello-sent') throw new GnutellaError('bad-handshake', `no bytes are due when ${this.#state}`);
    const block = this.#reader.push(chunk);
    if (block === undefined) return {};
    if (!block.ok) return this.#fail(block.reason);
    return this.#onAnswer(block, chunk.length - block.consumed);
  }

  /** The peer closed or the caller's time is up: the outcome, unless there was one. */
  end(): HandshakeStep {
    return this.#state === 'ended' || this.#state === 'connected' ? {} : this.#fail('eof');
  }

  #onAnswer(block: HeaderBlock, extraBytes: number): HandshakeStep {
    const status = parseStatusLine(block.startLine);
    if (status === undefined) return this.#fail(block.startLine === 'GNUTELLA OK' ? 'old-protocol' : 'not-gnutella');
    if (!isSpoken(status)) return this.#fail('old-protocol');
    const peer = readCapabilities(block.headers);
    if (!isAcceptance(status.code)) {
      const { code, reason } = status;
      return this.#end({ kind: 'refused', by: 'peer', code, reason, tryUltrapeers: peer.tryUltrapeers, peer });
    }
    // The acceptor must not send before it has read block 3.
    if (extraBytes > 0) return this.#fail('extra-data');
    const failure = encodingFailure(peer, this.#options.local.acceptDeflate);
    if (failure) return this.#fail(failure);
    const refusal = protocolRefusal(peer) ?? upgradeRefusal(peer);
    if (refusal) return this.#refuse(peer, refusal.code, refusal.reason);

    const decision = this.#options.decide(peer);
    if (!decision.accept) return this.#refuse(peer, decision.code, decision.reason);
    const deflateOut = peer.acceptsDeflate && this.#options.local.offerDeflate && decision.deflate !== false;
    const send = encodeBlock(statusLine(200, 'OK'), decisionHeaders(peer, deflateOut));
    const rest = new Uint8Array(0);
    return { send, ...this.#end({ kind: 'connected', peer, inflateIn: peer.sendsDeflate, deflateOut, rest }) };
  }

  /** A refusal in block 3 is its status line alone. */
  #refuse(peer: PeerCapabilities, code: number, reason: string): HandshakeStep {
    checkRefusalCode(code);
    const send = encodeBlock(statusLine(code, reason), []);
    return { send, ...this.#end({ kind: 'refused', by: 'us', code, reason, tryUltrapeers: peer.tryUltrapeers, peer }) };
  }

  #fail(reason: HandshakeFailure): HandshakeStep {
    return this.#end({ kind: 'failed', reason });
  }

  #end(outcome: HandshakeOutcome): HandshakeStep {
    this.#state = outcome.kind === 'connected' ? 'connected' : 'ended';
    return { outcome };
  }
}

/** Block 3 carries what was decided, never the whole set again. */
function decisionHeaders(peer: PeerCapabilities, deflateOut: boolean): HeaderList {
  const headers: HeaderList = [];
  if (deflateOut) headers.push(['Content-Encoding', 'deflate']);
  if (peer.queryRouting !== 0 && peer.queryRouting !== QUERY_ROUTING_VERSION) {
    headers.push(['X-Query-Routing', `${peer.queryRouting}`]);
  }
  if (peer.accept !== undefined) headers.push(['Content-Type', GNUTELLA_MEDIA_TYPE]);
  return headers;
}

/** We offer no TLS upgrade in block 1, so a peer that upgrades all the same cannot be followed (§9). */
function upgradeRefusal(peer: PeerCapabilities): { code: number; reason: string } | undefined {
  if (!peer.connectionUpgrade) return undefined;
  return peer.upgradeTls ? { code: 409, reason: 'Conflict' } : { code: 400, reason: 'Upgrade Header Missing' };
}
