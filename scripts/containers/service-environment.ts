/** A service's environment as its settings read it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a container knows of itself. */
export interface ContainerFacts {
  /** The container's host name; in a StatefulSet it ends with the number of the pod. */
  readonly hostname: string;
  /** The token that control calls must carry, where there is one. */
  readonly controlToken?: string | undefined;
  /** Names this worker among those that share its data folder; called only where the host name does not. */
  readonly claimName: (prefix: string) => string;
}

type Defaults = (facts: ContainerFacts) => Readonly<Record<string, string>>;

/** Port of control in every container. */
export const CONTROL_PORT = 9347;
/** Where control listens once there is a token: never open without one. */
const CONTROL = `0.0.0.0:${CONTROL_PORT}`;
/** Where connections processes hand HTTP and GIV over to a transfers worker. */
const TRANSFERS_INTERNAL_PORT = 6348;
const DATA = '/data';
const SHARE = '/share';

/** The services of the image, and what each needs beyond what it is given. A new service is a line here. */
const DEFAULTS: ReadonlyMap<string, Defaults> = new Map([
  ['bootstrap', () => ({ FILBERT_DATA: DATA })],
  ['router', shardOfPod],
  ['connections', edgeOfPod],
  ['search-index', libraryShard],
  ['transfers', transfersWorker],
]);

/** Names of the services that the image runs. */
export const SERVICE_NAMES: readonly string[] = [...DEFAULTS.keys()];

/**
 * The variables that a service in a container needs beside those that it was given; what was given wins.
 * @returns undefined for a service that the image does not have
 */
export function serviceEnvironment(
  service: string,
  given: Environment,
  facts: ContainerFacts,
): Record<string, string> | undefined {
  const defaults = DEFAULTS.get(service);
  if (defaults === undefined) return undefined;
  const { controlToken } = facts;
  const all = {
    ...(controlToken !== undefined && { FILBERT_CONTROL_TOKEN: controlToken, FILBERT_CONTROL: CONTROL }),
    ...defaults(facts),
  };
  return Object.fromEntries(Object.entries(all).filter(([name]) => (given[name] ?? '') === ''));
}

/** The number of a StatefulSet's pod; undefined elsewhere, where host names are random or given by hand. */
function podNumber(hostname: string): string | undefined {
  return /-(\d{1,4})$/.exec(hostname)?.[1];
}

function shardOfPod({ hostname }: ContainerFacts): Record<string, string> {
  const shard = podNumber(hostname);
  return shard === undefined ? {} : { FILBERT_SHARD: shard };
}

function edgeOfPod({ hostname }: ContainerFacts): Record<string, string> {
  const pod = podNumber(hostname);
  return pod === undefined ? {} : { FILBERT_EDGE_ID: `edge-${pod}` };
}

/** Workers may share a data folder: each finds its own downloads there by a name that outlives the container. */
function transfersWorker({ hostname, claimName }: ContainerFacts): Record<string, string> {
  const pod = podNumber(hostname);
  return {
    FILBERT_DATA: DATA,
    FILBERT_SHARE: SHARE,
    FILBERT_TRANSFERS_ID: pod === undefined ? claimName('transfers') : `transfers-${pod}`,
    // By name, so that the address that others are told is the container's and not that of all interfaces.
    FILBERT_TRANSFERS_INTERNAL_LISTEN: `${hostname}:${TRANSFERS_INTERNAL_PORT}`,
  };
}

function libraryShard({ hostname }: ContainerFacts): Record<string, string> {
  const pod = podNumber(hostname);
  const named: Record<string, string> = pod === undefined ? {} : { FILBERT_LIBRARY_EDGE_ID: `library-${pod}` };
  return { FILBERT_DATA: DATA, FILBERT_SHARE: SHARE, ...named };
}
