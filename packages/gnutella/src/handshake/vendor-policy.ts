// Rules about vendors and their demands (docs/protocol/01-handshake.md §4 and §5, 12-quirks-and-abuse.md §9, 13-peers.md).

import type { PeerCapabilities } from './capabilities.ts';
import type { Decision } from './step.ts';

const OTHER_VENDORS =
  /^\s*(acquisition|bearshare|cabos|foxy|frostwire|gnucleus|gnutella-bun-client|gtk-gnutella|limewire|morpheus|phex|shareaza|wireshare|xolox)\b/i;

const WIRESHARE_REFUSED_PORTS: readonly number[] = [7001, 27016];

/** Whether a User-Agent of ours would claim to be another vendor's program: never do (13-peers.md). */
export function claimsAnotherVendor(userAgent: string): boolean {
  return OTHER_VENDORS.test(userAgent);
}

/** Whether WireShare refuses a servent with this User-Agent and listening port (13-peers.md): neither may be ours. */
export function isRefusedByWireShare(userAgent: string, listenPort: number): boolean {
  const agent = userAgent.toLowerCase();
  return (
    WIRESHARE_REFUSED_PORTS.includes(listenPort) ||
    agent.includes('(rc)') ||
    agent.startsWith('phex 3.2') ||
    (agent.startsWith('gtk') && agent.includes('2007'))
  );
}

/** Whether LimeWire takes this peer for a good ultrapeer, worth a slot (01-handshake.md §5). */
export function isGoodUltrapeer(peer: PeerCapabilities): boolean {
  return peer.degree >= 15 && peer.ultrapeerQueryRouting && peer.maxTtl < 5 && peer.dynamicQuerying;
}

/** Whether LimeWire takes this peer for a good leaf: the same headers, and its own family or no requeries. */
export function isGoodLeaf(peer: PeerCapabilities): boolean {
  const isFamily = /^(limewire|wireshare)\//i.test(peer.userAgent ?? '');
  return isGoodUltrapeer(peer) && (isFamily || !peer.requeries);
}

/** A leaf's decision: only ultrapeers with dynamic queries and a high degree serve it (01-handshake.md §5). */
export function decideAsLeaf(peer: PeerCapabilities): Decision {
  if (peer.role !== 'ultrapeer') return { accept: false, code: 204, reason: 'Shielded leaf node' };
  if (peer.degree < 16 || !peer.dynamicQuerying) {
    return { accept: false, code: 403, reason: 'High Outdegree and Dynamic Querying Required' };
  }
  return { accept: true };
}

/**
 * The refusal that a peer's own words call for before any policy: a closed network, Foxy, or Gnutella2 alone
 * (01-handshake.md §4, 12-quirks-and-abuse.md §9). Undefined when there is none.
 */
export function protocolRefusal(peer: PeerCapabilities): { code: number; reason: string } | undefined {
  if (peer.authChallenge !== undefined) return { code: 403, reason: 'Not a network member' };
  if (!peer.speaksGnutella || /^foxy\b/i.test(peer.userAgent ?? '')) {
    return { code: 406, reason: 'Protocol not acceptable' };
  }
  return undefined;
}
