// Settings that several services share: each is one object, so that a process that runs several reads it once.
import { filePath, hostPort, integer, list, option, parsedText, toggle } from '@filbert/kit';
import { EDGE_ID_PATTERN } from './subjects.ts';

/** A name on the bus: a part of subjects, so it must hold neither dots nor wildcards. */
export function busName(): ReturnType<typeof parsedText<string>> {
  const isName = (value: string): string | undefined => (EDGE_ID_PATTERN.test(value) ? value : undefined);
  return parsedText('1 to 63 lower-case letters, digits and dashes, no dash first', isName, (value) => value);
}

/** Loopback and private addresses may be peers. */
export const allowPrivateOption = option({
  flag: 'allow-private',
  env: 'FILBERT_ALLOW_PRIVATE',
  schema: toggle(),
  default: false,
  description:
    'Accept loopback and private addresses as peers; `filbert up` turns it on when the node listens on such an address.',
});

/** How many shards the GUIDs are divided among. */
export const routerShardsOption = option({
  flag: 'router-shards',
  env: 'FILBERT_ROUTER_SHARDS',
  schema: integer({ min: 1, max: 64 }),
  default: 1,
  unit: 'shards',
  description: 'Router shards that share the GUIDs.',
});

/** Where the services keep their databases. */
export const dataOption = option({
  flag: 'data',
  env: 'FILBERT_DATA',
  schema: filePath(),
  default: './data',
  description: 'Folder for what must survive a restart: identity, known hosts, catalogue of shared files.',
});

/** Folders whose files are shared. */
export const shareOption = option({
  flag: 'share',
  env: 'FILBERT_SHARE',
  schema: list(filePath()),
  default: [],
  description: 'Folders to share.',
});

/** Where files are served, if not on the Gnutella port. */
export const transfersListenOption = option({
  flag: 'transfers-listen',
  env: 'FILBERT_TRANSFERS_LISTEN',
  schema: hostPort(),
  description: 'Where files are served, if not on the Gnutella port.',
});
