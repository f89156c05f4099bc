// Who may deflate (docs/protocol/01-handshake.md §8).

import type { PeerCapabilities } from './capabilities.ts';
import type { HandshakeFailure } from './step.ts';

/**
 * Why a block's Content-Encoding ends the handshake, if it does: we cannot read what the peer would send.
 * @param weInflate whether we said Accept-Encoding: deflate before this block
 */
export function encodingFailure(peer: PeerCapabilities, weInflate: boolean): HandshakeFailure | undefined {
  if (peer.contentEncoding === 'unsupported') return 'unsupported-encoding';
  return peer.contentEncoding === 'deflate' && !weInflate ? 'unoffered-deflate' : undefined;
}
