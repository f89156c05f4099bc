import { bootstrapV1 } from '@filbert/contracts';
import { callStream, type FlagValues } from '@filbert/kit';
import { CALL_TIMEOUT_MS, withNode } from '../control/control-client.ts';
import { duration, printable, printJson, table } from './show.ts';

/** `filbert hosts`: the hosts that the node knows, the latest seen first. */
export async function hosts(flags: FlagValues): Promise<void> {
  const known: bootstrapV1.ListHostsResponse[] = [];
  await withNode(flags, async (client) => {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    for await (const host of callStream(client, bootstrapV1.BootstrapServiceService.listHosts, {}, options)) {
      if (flags['json'] === true) printJson(host);
      else known.push(host);
    }
  });
  if (flags['json'] === true) return;
  if (known.length === 0) {
    console.log('no hosts known');
    return;
  }
  known.sort((a, b) => b.lastSeenMs - a.lastSeenMs);
  const rows = known.map((host) => [
    printable(host.address),
    host.ultrapeer ? 'ultrapeer' : 'leaf',
    ago(host.lastSeenMs),
    ago(host.lastTriedMs),
    `${host.failures}`,
    printable(host.source),
  ]);
  console.log(table(['ADDRESS', 'KIND', 'SEEN', 'TRIED', 'FAILURES', 'FROM'], rows));
}

function ago(atMs: number): string {
  return atMs === 0 ? 'never' : `${duration(Date.now() - atMs)} ago`;
}
