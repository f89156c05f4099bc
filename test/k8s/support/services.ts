import { bootstrapConfig } from '@filbert/bootstrap';
import { connectionsConfig } from '@filbert/connections';
import { loadConfig, mergeConfigs, processConfig, type ConfigDefinition } from '@filbert/kit';
import { routerConfig } from '@filbert/router';
import { searchIndexConfig } from '@filbert/search-index';
import { transfersConfig } from '@filbert/transfers';

/** What each service reads from its environment. A new service is a line here. */
const CONFIGS: ReadonlyMap<string, ConfigDefinition<never>> = new Map<string, ConfigDefinition<never>>([
  ['bootstrap', bootstrapConfig],
  ['connections', connectionsConfig],
  ['router', routerConfig],
  ['search-index', searchIndexConfig],
  ['transfers', transfersConfig],
]);

/** Names of all services. */
export const SERVICES: readonly string[] = [...CONFIGS.keys()];

/** Every problem that a service has with its environment: unknown variables and values that cannot be used. */
export function environmentProblems(service: string, env: Record<string, string>): readonly string[] {
  const config = CONFIGS.get(service);
  if (config === undefined) return [`there is no service ${service}`];
  const loaded = loadConfig(mergeConfigs({ process: processConfig, service: config }), { env });
  return loaded.ok ? [] : loaded.problems;
}
