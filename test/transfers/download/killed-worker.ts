// A worker in a process of its own, to be killed: fetches what it is told and says how far it is.
import { join } from 'node:path';
import { createInProcessBus, createLogger } from '@filbert/kit';
import { nodeFactsRequest, OwnAddressSource } from '@filbert/contracts';
import { openSqliteJobStore } from '../../../services/transfers/src/jobs/sqlite-job-store.ts';
import { Transfers } from '../../../services/transfers/src/transfers.ts';
import { parsePeerAddress } from '@filbert/gnutella';

const [data = '', downloads = '', target = '', source = '', size = ''] = process.argv.slice(2);
const bus = createInProcessBus();
bus.respond(nodeFactsRequest, () => ({
  version: 1,
  serventGuid: new Uint8Array(16).fill(1),
  nodeSecret: new Uint8Array(16),
  shards: 1,
  shardMapVersion: 1,
  advertisedAddress: '',
  transfersAddress: '',
  sharedFiles: 0,
  sharedKib: 0,
  hosts: [],
  startedAtMs: 0,
  learnedAddress: '',
  learnedFrom: OwnAddressSource.OWN_ADDRESS_SOURCE_UNSPECIFIED,
  firewalled: false,
}));
const transfers = new Transfers({
  bus,
  logger: createLogger({ level: 'silent', name: 'killed' }),
  workerId: 'transfers-0',
  store: openSqliteJobStore(join(data, 'transfers.sqlite'), 'transfers-0'),
  downloads,
  shareFolders: [],
  listen: undefined,
  internalListen: undefined,
  allowPrivate: true,
  uploadSlots: 1,
  uploadsPerHost: 1,
  uploadRate: 0,
  downloadRate: 0,
  timings: { checkpointMs: 50 },
});
await transfers.start();
const address = parsePeerAddress(source);
const { download } = await transfers.downloads.add({
  target,
  sources: [{ address, serventGuid: undefined, index: 0, firewalled: false }],
  name: 'killed',
  sizeBytes: Number(size),
});
setInterval(() => process.send?.(download.doneBytes), 10);
