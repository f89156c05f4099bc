import { randomBytes } from 'node:crypto';
import { createLogger, createReadiness, createRpcClient, createRpcServer } from '@filbert/kit';
import { type RpcClient } from './asking.ts';
import { fanOutControl } from './fan-out.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import { ServiceProcesses } from './service-processes.ts';

/** Control of a node whose services each have their own. */
export interface NodeServices {
  /** Takes the calls of all services. */
  readonly client: RpcClient;
  close(): Promise<void>;
}

/**
 * Joins the control of a node's services to one, as the supervisor does for processes of its own: behind a server on this
 * machine's loopback interface, for the time of one command.
 * @param token - what the services ask for
 * @throws ListenError
 */
export async function openNodeServices(addresses: ServiceAddresses, token: string | undefined): Promise<NodeServices> {
  const of = (kind: keyof ServiceAddresses): ServiceProcesses =>
    new ServiceProcesses({ kind, address: addresses[kind], token });
  const bootstrap = of('bootstrap');
  const router = of('router');
  const searchIndex = of('search-index');
  const transfers = of('transfers');
  const connections = of('connections');
  const all = [bootstrap, router, searchIndex, transfers, connections];
  await Promise.all(all.map((service) => service.start()));

  const readiness = createReadiness();
  // Nobody else on this machine may use the token that this process has.
  const ownToken = randomBytes(24).toString('hex');
  const server = createRpcServer({
    services: fanOutControl({
      bootstrap: bootstrap.first,
      routers: router.processes,
      connections: connections.processes,
      searchIndex: searchIndex.first,
      transfers: transfers.processes,
    }),
    health: readiness,
    logger: createLogger({ level: 'silent', name: 'filbert' }),
    token: ownToken,
    drainMs: 0,
  });
  const client = createRpcClient({ address: await server.start(), token: ownToken });
  return {
    client,
    async close() {
      client.close();
      for (const service of all) service.close();
      await server.stop();
    },
  };
}
