// The acceptor's side of the handshake (docs/protocol/01-handshake.md §3, §5 to §8).

import { GnutellaError } from '../errors.ts';
import { readBoolean, readCapabilities, readQueryRouting } from './capabilities.ts';
import type { PeerCapabilities } from './capabilities.ts';
import { encodeBlock, statusLine } from './encode-block.ts';
import { HeaderBlockReader } from './header-block-reader.ts';
import type { BrokenHeaderBlock, HeaderBlock } from './header-block-reader.ts';
import { encodingFailure } from './content-encoding.ts';
import { capabilityHeaders, checkLocal, crawlerBlock, hostsToTry, refusalBlock } from './local-handshake.ts';
import type { LocalHandshake } from './local-handshake.ts';
import { isAcceptance, isSpoken, parseConnectLine, parseStatusLine } from './start-lines.ts';
import type { CrawlerDecision, Decision, HandshakeFailure, HandshakeOutcome, HandshakeStep } from './step.ts';
import { protocolRefusal } from './vendor-policy.ts';

export interface AcceptingOptions {
  readonly local: LocalHandshake;
  /** The peer's address as we see it, without port. */
  readonly remoteIp: string;
  /** Called once with the peer's block 1: bans, duplicates and slots are its matter. */
  readonly decide: (peer: PeerCapabilities) => Decision;
  /** Called once when block 3 accepted, with the role that the peer settled on; slots may have gone meanwhile. */
  readonly decideFinal?: (peer: PeerCapabilities) => Decision;
  /** Called once for a crawler, instead of `decide`. Without it crawlers get empty lists. */
  readonly decideCrawler?: (peer: PeerCapabilities) => CrawlerDecision;
}

type State =
  | { readonly name: 'wait-hello' }
  | { readonly name: 'welcome-sent'; readonly peer: PeerCapabilities; readonly deflateOut: boolean }
  | { readonly name: 'crawler-sent'; readonly peer: PeerCapabilities }
  | { readonly name: 'ended'; readonly connected: boolean };

const TOO_LARGE_REASONS = {
  'line-too-long': 'Header line too long',
  'too-many-lines': 'Too many header lines',
  'block-too-large': 'Header too large',
} as const;

/**
 * One incoming handshake: bytes in, steps out. Time limits are the caller's; so is closing the connection after any
 * outcome but `connected`.
 */
export class AcceptingHandshake {
  readonly #options: AcceptingOptions;
  #reader = new HeaderBlockReader();
  #state: State = { name: 'wait-hello' };

  /** @throws GnutellaError `bad-handshake` when `local` is out of its ranges */
  constructor(options: AcceptingOptions) {
    checkLocal(options.local);
    this.#options = options;
  }

  /**
   * Takes the next bytes from the peer. After a refusal or a failure what still comes is ignored.
   * @throws GnutellaError `bad-handshake` after `connected`, when the bytes belong to the link, and for a decision with
   * an impossible code
   */
  receive(chunk: Uint8Array): HandshakeStep {
    if (this.#state.name === 'ended') {
      if (this.#state.connected) throw new GnutellaError('bad-handshake', 'the handshake is over');
      return {};
    }
    const block = this.#reader.push(chunk);
    if (block === undefined) return {};
    if (!block.ok) return this.#refuseBlock(block);
    const rest = chunk.subarray(block.consumed);
    this.#reader = new HeaderBlockReader();
    switch (this.#state.name) {
      case 'wait-hello':
        return this.#onHello(block, rest);
      case 'welcome-sent':
        return this.#onFinal(block, rest, this.#state.peer, this.#state.deflateOut);
      case 'crawler-sent':
        return this.#end({ kind: 'crawler', peer: this.#state.peer, rest });
    }
  }

  /** The peer closed or the caller's time is up: the outcome, unless there was one. */
  end(): HandshakeStep {
    if (this.#state.name === 'ended') return {};
    // A crawler that leaves without block 3 has what it came for.
    if (this.#state.name === 'crawler-sent') {
      return this.#end({ kind: 'crawler', peer: this.#state.peer, rest: new Uint8Array(0) });
    }
    return this.#fail('eof');
  }

  #onHello(block: HeaderBlock, rest: Uint8Array): HandshakeStep {
    const version = parseConnectLine(block.startLine);
    if (version === undefined) return this.#fail('not-gnutella');
    if (!isSpoken(version)) return this.#fail('old-protocol');
    if (rest.length > 0) return this.#fail('extra-data');

    const peer = readCapabilities(block.headers);
    const refusal = protocolRefusal(peer);
    if (refusal) return this.#refuse(peer, refusal.code, refusal.reason);
    // Nobody has said yet that it inflates.
    if (encodingFailure(peer, false)) return this.#refuse(peer, 400, 'Unexpected Content-Encoding');
    if (peer.crawler) return this.#onCrawler(peer);

    const decision = this.#options.decide(peer);
    if (!decision.accept) return this.#refuse(peer, decision.code, decision.reason, decision.tryUltrapeers);
    return this.#welcome(peer, decision);
  }

  #welcome(peer: PeerCapabilities, decision: Decision & { accept: true }): HandshakeStep {
    const { local, remoteIp } = this.#options;
    const headers = capabilityHeaders(local, remoteIp, peer);
    const deflateOut = peer.acceptsDeflate && local.offerDeflate && decision.deflate !== false;
    if (deflateOut) headers.push(['Content-Encoding', 'deflate']);
    if (decision.ultrapeerNeeded !== undefined) {
      headers.push(['X-Ultrapeer-Needed', decision.ultrapeerNeeded ? 'True' : 'False']);
    }
    const hosts = decision.tryUltrapeers ?? [];
    if (hosts.length > 0) headers.push(['X-Try-Ultrapeers', hostsToTry(hosts)]);
    this.#state = { name: 'welcome-sent', peer, deflateOut };
    return { send: encodeBlock(statusLine(200, 'OK'), headers) };
  }

  #onCrawler(peer: PeerCapabilities): HandshakeStep {
    const { local, remoteIp, decideCrawler } = this.#options;
    const decision = decideCrawler?.(peer) ?? { accept: true, peers: [], leaves: [] };
    if (!decision.accept) return this.#refuse(peer, decision.code, decision.reason);
    this.#state = { name: 'crawler-sent', peer };
    return { send: crawlerBlock(local, remoteIp, decision.peers, decision.leaves) };
  }

  #onFinal(block: HeaderBlock, rest: Uint8Array, hello: PeerCapabilities, deflateOut: boolean): HandshakeStep {
    const status = parseStatusLine(block.startLine);
    if (status === undefined) return this.#fail('not-gnutella');
    if (!isAcceptance(status.code)) {
      const { tryUltrapeers } = readCapabilities(block.headers);
      return this.#end({ kind: 'refused', by: 'peer', ...pick(status), tryUltrapeers, peer: hello });
    }
    const final = readCapabilities(block.headers);
    const failure = encodingFailure(final, this.#options.local.acceptDeflate);
    if (failure) return this.#fail(failure);
    if (final.connectionUpgrade) return this.#fail('unoffered-upgrade');

    const peer = settle(hello, block, final);
    const decision = this.#options.decideFinal?.(peer);
    if (decision && !decision.accept) {
      const { code, reason } = decision;
      const afterBlock3 = { deflateOut };
      return this.#end({ kind: 'refused', by: 'us', code, reason, tryUltrapeers: [], peer, afterBlock3 });
    }
    return this.#end({ kind: 'connected', peer, inflateIn: final.sendsDeflate, deflateOut, rest });
  }

  #refuse(peer: PeerCapabilities, code: number, reason: string, tryUltrapeers?: readonly string[]): HandshakeStep {
    const send = this.#refusal(code, reason, tryUltrapeers ?? []);
    return { send, ...this.#end({ kind: 'refused', by: 'us', code, reason, tryUltrapeers: peer.tryUltrapeers, peer }) };
  }

  /** Too large a block 1 is told so; in block 3 it is too late for that. */
  #refuseBlock({ reason }: BrokenHeaderBlock): HandshakeStep {
    if (this.#state.name !== 'wait-hello' || reason === 'eof') return this.#fail(reason);
    return { send: this.#refusal(413, TOO_LARGE_REASONS[reason], []), ...this.#fail(reason) };
  }

  #refusal(code: number, reason: string, tryUltrapeers: readonly string[]): Uint8Array {
    const { local, remoteIp } = this.#options;
    const ultrapeer = local.role === 'ultrapeer';
    return refusalBlock(code, reason, { userAgent: local.userAgent, remoteIp, tryUltrapeers, ultrapeer });
  }

  #fail(reason: HandshakeFailure): HandshakeStep {
    return this.#end({ kind: 'failed', reason });
  }

  #end(outcome: HandshakeOutcome): HandshakeStep {
    this.#state = { name: 'ended', connected: outcome.kind === 'connected' };
    return { outcome };
  }
}

function pick(status: { code: number; reason: string }): { code: number; reason: string } {
  return { code: status.code, reason: status.reason };
}

/**
 * The peer of block 1 with the decisions of block 3: an ultrapeer that answers X-Ultrapeer: False has become our leaf,
 * and X-Query-Routing is final. All else in block 3 is ignored: a leaf cannot promote itself past the slots it was
 * granted.
 */
function settle(hello: PeerCapabilities, block: HeaderBlock, final: PeerCapabilities): PeerCapabilities {
  const demoted = readBoolean(block.headers.get('X-Ultrapeer')) === false;
  const queryRouting = block.headers.has('X-Query-Routing')
    ? readQueryRouting(block.headers.get('X-Query-Routing'))
    : hello.queryRouting;
  return {
    ...hello,
    role: demoted ? 'leaf' : hello.role,
    queryRouting,
    contentEncoding: final.contentEncoding,
    sendsDeflate: final.sendsDeflate,
  };
}
