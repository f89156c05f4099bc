import { bootstrapV1 } from '@filbert/contracts';
import { rpcService, type RpcService } from '@filbert/kit';
import type { NodeBootstrap } from './node-bootstrap.ts';

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
