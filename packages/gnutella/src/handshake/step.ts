// What a handshake hands to its caller.

import type { PeerCapabilities } from './capabilities.ts';
import type { HeaderBlockFault } from './header-block-reader.ts';

/** The caller's verdict on a peer. */
export type Decision =
  | {
      readonly accept: true;
      /** X-Ultrapeer-Needed of block 2: true while ultrapeer slots are free, false while only leaf slots are. */
      readonly ultrapeerNeeded?: boolean;
      /** False: do not deflate what we send on this link, even if the peer can inflate. */
      readonly deflate?: boolean;
      /** Hosts for X-Try-Ultrapeers of block 2. */
      readonly tryUltrapeers?: readonly string[];
    }
  | {
      readonly accept: false;
      /** 204 or 300…999. */
      readonly code: number;
      readonly reason: string;
      readonly tryUltrapeers?: readonly string[];
    };

/** The caller's verdict on a crawler, with the lists that it gets ("ip:port", the most telling first). */
export type CrawlerDecision =
  | { readonly accept: true; readonly peers: readonly string[]; readonly leaves: readonly string[] }
  | { readonly accept: false; readonly code: number; readonly reason: string };

export type HandshakeFailure =
  | HeaderBlockFault
  /** The first line of a block is not the one that belongs there. */
  | 'not-gnutella'
  /** Gnutella before 0.6: closed in silence. */
  | 'old-protocol'
  /** Bytes after block 1 or 2, which must be the last. */
  | 'extra-data'
  /** Content-Encoding: deflate though we did not say that we inflate. */
  | 'unoffered-deflate'
  /** A Content-Encoding other than deflate. */
  | 'unsupported-encoding'
  /** Connection: Upgrade in block 3 though we offered none. */
  | 'unoffered-upgrade';

export interface Connected {
  readonly kind: 'connected';
  readonly peer: PeerCapabilities;
  /** The peer deflates what it sends, from the first byte of `rest` on. */
  readonly inflateIn: boolean;
  /** We said that we deflate what we send. */
  readonly deflateOut: boolean;
  /** Bytes that came after the last block, still deflated if `inflateIn`; a view into the chunk. */
  readonly rest: Uint8Array;
}

export interface Refused {
  readonly kind: 'refused';
  readonly by: 'us' | 'peer';
  readonly code: number;
  readonly reason: string;
  /** Hosts that the peer named in its refusal, or in its block before ours. */
  readonly tryUltrapeers: readonly string[];
  readonly peer?: PeerCapabilities;
  /**
   * Set when we changed our mind after block 3: the link is in its binary phase, so it ends with a BYE if the peer
   * understands it (`peer.bye`), deflated if `deflateOut`.
   */
  readonly afterBlock3?: { readonly deflateOut: boolean };
}

export interface Crawled {
  readonly kind: 'crawler';
  readonly peer: PeerCapabilities;
  /** Bytes after block 3: perhaps a PING of TTL 2. */
  readonly rest: Uint8Array;
}

export interface Failed {
  readonly kind: 'failed';
  readonly reason: HandshakeFailure;
}

export type HandshakeOutcome = Connected | Refused | Crawled | Failed;

/**
 * What to do next: first send the bytes, if any, then act on the outcome, if any. After every outcome but `connected`
 * the connection closes, once the bytes are out. A step with neither waits for more bytes.
 */
export interface HandshakeStep {
  readonly send?: Uint8Array;
  readonly outcome?: HandshakeOutcome;
}
