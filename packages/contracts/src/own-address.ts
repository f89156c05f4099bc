// What the facts say of the node's own address.
import { classifyHost, parsePeerAddress, type PeerAddress } from '@filbert/gnutella';
import type { NodeFacts } from './gen/filbert/bus/v1/bus.ts';

/** Reads "ip:port" as an address that a peer could dial: wildcards and the like, at which nobody is reached, are none. */
export function reachableAddress(text: string): PeerAddress | undefined {
  const address = parsePeerAddress(text);
  return address === undefined || classifyHost(address.host) === 'bogon' ? undefined : address;
}

/**
 * Where peers reach the node's Gnutella port: what the operator said, else what the node found out
 * (docs/architecture.md, "The node's own address"); undefined while neither is known.
 */
export function ownAddressOf(
  facts: Pick<NodeFacts, 'advertisedAddress' | 'learnedAddress'> | undefined,
): PeerAddress | undefined {
  if (facts === undefined) return undefined;
  return reachableAddress(facts.advertisedAddress) ?? reachableAddress(facts.learnedAddress);
}
