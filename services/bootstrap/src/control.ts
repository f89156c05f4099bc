import { bootstrapV1, ownAddressOf, type NodeFacts } from '@filbert/contracts';
import { formatPeerAddress } from '@filbert/gnutella';
import { rpcService, type RpcService } from '@filbert/kit';
import { ADDRESS_SOURCE_NAMES, type NodeBootstrap } from './node-bootstrap.ts';

/** gRPC control of bootstrap. */
export function bootstrapControl(bootstrap: NodeBootstrap): RpcService {
  return rpcService(bootstrapV1.BootstrapServiceService, {
    getFacts() {
      const { facts } = bootstrap;
      return {
        serventGuid: Buffer.from(facts?.serventGuid ?? []).toString('hex'),
        advertisedAddress: facts?.advertisedAddress ?? '',
        shards: facts?.shards ?? 0,
        hostsKnown: bootstrap.hosts?.size ?? 0,
        startedAtMs: bootstrap.startedAtMs,
        sharedFiles: facts?.sharedFiles ?? 0,
        sharedKib: facts?.sharedKib ?? 0,
        ...ownAddress(facts),
        firewalled: facts?.firewalled ?? true,
      };
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- a stream is an async generator, also where nothing waits
    async *listHosts() {
      for (const host of bootstrap.hosts?.all() ?? []) {
        yield {
          address: host.address,
          ultrapeer: host.ultrapeer,
          lastSeenMs: host.lastSeenMs,
          lastTriedMs: host.lastTriedMs,
          failures: host.failures,
          source: host.source,
        };
      }
    },
    addHost({ address }) {
      const added = bootstrap.hosts?.add(address, 'operator', true) ?? false;
      return { added, reason: added ? '' : `${address} is not an address of a peer` };
    },
  });
}

/** The address in use, and where it is from. */
function ownAddress(facts: NodeFacts | undefined): { readonly ownAddress: string; readonly ownAddressFrom: string } {
  const address = ownAddressOf(facts);
  if (facts === undefined || address === undefined) return { ownAddress: '', ownAddressFrom: '' };
  const text = formatPeerAddress(address);
  const isAdvertised = text === facts.advertisedAddress;
  return { ownAddress: text, ownAddressFrom: isAdvertised ? 'advertised' : ADDRESS_SOURCE_NAMES[facts.learnedFrom] };
}
