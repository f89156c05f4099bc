import { MAX_LINKS_PER_ADDRESS, MAX_LINKS_PER_NETWORK } from '@filbert/contracts';
import type { Decision, PeerCapabilities } from '@filbert/gnutella';

/** What admission looks at: plain facts, so that the policy can be tested by itself. */
export interface AdmissionState {
  readonly draining: boolean;
  /** Links of the whole node, other edges' included, with those in handshake that were let in. */
  readonly leaves: number;
  readonly maxLeaves: number;
  readonly ultrapeers: number;
  readonly maxUltrapeers: number;
  /** Whether a link to this address and port, or with this servent GUID (hex), exists. */
  readonly hasAddress: (address: string) => boolean;
  readonly hasGuid: (guid: string) => boolean;
  /** Links from the peer's address and from its /24 or /64; 0 where the limits do not apply. */
  readonly fromSameAddress: number;
  readonly fromSameNetwork: number;
  /** Ends a leaf that is of no use, to make room; false where there is none. */
  readonly evictLeaf: () => boolean;
  readonly evictUltrapeer: () => boolean;
}

/**
 * Whether a peer that asks for a link gets one (docs/protocol/01 §5, for an ultrapeer). Hosts for X-Try-Ultrapeers are
 * added by the caller.
 */
export function admit(peer: PeerCapabilities, state: AdmissionState): Decision {
  if (state.draining) return refuse(503, 'Shutting down');
  if (peer.listenAddress !== undefined && state.hasAddress(peer.listenAddress)) return refuse(409, 'Already connected');
  if (peer.role === 'none') return refuse(403, 'Normal nodes refused');
  if (peer.guid !== undefined && state.hasGuid(Buffer.from(peer.guid).toString('hex'))) {
    return refuse(409, 'Already connected to this GUID');
  }
  if (state.fromSameAddress >= MAX_LINKS_PER_ADDRESS || state.fromSameNetwork >= MAX_LINKS_PER_NETWORK) {
    return refuse(409, 'Too many connections from your network');
  }
  return peer.role === 'leaf' ? admitLeaf(state) : admitUltrapeer(state);
}

function admitLeaf(state: AdmissionState): Decision {
  if (state.leaves < state.maxLeaves || state.evictLeaf()) return welcome(state);
  return refuse(503, `Too many leaf connections (${state.maxLeaves} max)`);
}

function admitUltrapeer(state: AdmissionState): Decision {
  if (state.ultrapeers < state.maxUltrapeers || state.evictUltrapeer()) return welcome(state);
  return tooManyUltrapeers(state.maxUltrapeers);
}

/** The refusal of an ultrapeer for which there is no slot. */
export function tooManyUltrapeers(maxUltrapeers: number): Decision {
  return refuse(503, `Too many ultra connections (${maxUltrapeers} max)`);
}

/** Leaf guidance: True while ultrapeer slots are free, False while only leaf slots are (docs/protocol/01 §6). */
function welcome(state: AdmissionState): Decision {
  if (state.ultrapeers < state.maxUltrapeers) return { accept: true, ultrapeerNeeded: true };
  return state.leaves < state.maxLeaves ? { accept: true, ultrapeerNeeded: false } : { accept: true };
}

function refuse(code: number, reason: string): Decision {
  return { accept: false, code, reason };
}
