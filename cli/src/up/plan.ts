import { existsSync, readFileSync } from 'node:fs';
import { classifyHost } from '@filbert/gnutella';
import { formatHostPort, isLoopback, type HostPort } from '@filbert/kit';
import type { NodeConfig } from '../node-config.ts';

/** Whether the node itself listens on a loopback or private address: then its peers may have such addresses too. */
export function listensPrivately(config: NodeConfig): boolean {
  const { host } = config.connections.listen;
  if (host === 'localhost') return true;
  if (isWildcard(host)) return false;
  const kind = classifyHost(host);
  return kind === 'private' || kind === 'loopback';
}

/** The configuration with what follows from other settings. */
export function completeConfig(config: NodeConfig): NodeConfig {
  const allowPrivate = config.connections.allowPrivate || listensPrivately(config);
  return {
    ...config,
    connections: { ...config.connections, allowPrivate },
    bootstrap: { ...config.bootstrap, allowPrivate },
    searchIndex: { ...config.searchIndex, allowPrivate },
    transfers: { ...config.transfers, allowPrivate },
  };
}

/** What is wrong with settings that are right each by itself: a sentence each. */
export function settingsProblems(config: NodeConfig): string[] {
  const { admin, control, controlToken } = config.up;
  const { listen } = config.connections;
  const { transfersListen } = config.transfers;
  const problems: string[] = [];
  if (controlToken === undefined && !isLoopback(control.host)) {
    problems.push(
      `--control is "${formatHostPort(control)}", which others can reach: it needs a token (FILBERT_CONTROL_TOKEN)`,
    );
  }
  const addresses: [flag: string, address: HostPort][] = [
    ['--listen', listen],
    ['--admin', admin],
    ['--control', control],
  ];
  if (transfersListen !== undefined) addresses.push(['--transfers-listen', transfersListen]);
  addresses.forEach(([flag, address], i) => {
    for (const [other, taken] of addresses.slice(0, i)) {
      if (collide(address, taken)) problems.push(`${other} and ${flag} are both port ${address.port}`);
    }
  });
  if (config.transfers.jobStore === 'jetstream' && !config.up.processes) {
    problems.push('--job-store is "jetstream", which needs NATS: run with --processes, or leave it out');
  }
  problems.push(...sharedNames(config));
  return problems;
}

/** Names on the bus that two parts of the node would have: each would take the other's frames for its own. */
function sharedNames(config: NodeConfig): string[] {
  const { up, connections, searchIndex, transfers } = config;
  const numbered = (first: string, count: number): string[] =>
    up.processes ? Array.from({ length: count }, (_, index) => numberedName(first, index)) : [first];
  const named: [flag: string, names: string[]][] = [
    ['--edge-id', numbered(connections.edgeId, up.connections)],
    ['--library-edge-id', [searchIndex.libraryEdgeId]],
    ['--transfers-id', numbered(transfers.workerId, up.transfers)],
  ];
  return named.flatMap(([flag, names], i) =>
    named.slice(0, i).flatMap(([other, taken]) => {
      const shared = names.find((name) => taken.includes(name));
      return shared === undefined ? [] : [`${other} and ${flag} both name something "${shared}"`];
    }),
  );
}

/** The name of one of several processes of a kind, by that of the first. */
export function numberedName(first: string, index: number): string {
  return `${first.replace(/-0$/, '')}-${index}`;
}

/** Whether two servers of one machine cannot have these addresses at one time. */
function collide(one: HostPort, other: HostPort): boolean {
  if (one.port === 0 || one.port !== other.port) return false;
  return one.host === other.host || isWildcard(one.host) || isWildcard(other.host);
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** What `up` says before it starts: whom the node will contact, and what is asked for but not built yet. */
export function announcements(config: NodeConfig): string[] {
  const { connect, seeds } = config.bootstrap;
  const lines: string[] = [];
  if (config.up.processes) lines.push(natsAnnouncement(config.up.nats));
  if (connect.length > 0) lines.push(`will keep links to: ${connect.map(formatHostPort).join(', ')}`);
  if (seeds.kind === 'none') lines.push('will contact no seeds (--seeds none)');
  else if (seeds.kind === 'default') {
    lines.push(
      'will contact no seeds: the built-in list is empty until host caches are supported; name ultrapeers with --connect or --seeds',
    );
  } else {
    lines.push(`will try the seeds: ${seeds.addresses.join(', ')}`);
  }
  lines.push('will also dial ultrapeers that it learned of from peers, up to its target');
  const { tracing, otlpEndpoint } = config.up;
  if (tracing) lines.push(`will send traces to the OTLP collector at ${URL.parse(otlpEndpoint)?.host ?? ''}`);
  if (config.connections.allowPrivate) {
    lines.push('accepts loopback and private addresses as peers; limits per address do not apply to them');
  }
  const { share } = config.searchIndex;
  lines.push(
    share.length === 0
      ? 'shares no folder by --share; "filbert share add FOLDER" adds one while it runs'
      : `shares: ${share.join(', ')}`,
  );
  return lines;
}

function natsAnnouncement(servers: readonly string[]): string {
  if (servers.length === 0) return 'will start a nats-server of its own on 127.0.0.1';
  // Without the credentials that a URL may hold.
  const hosts = servers.map((server) => URL.parse(server)?.host ?? '').join(', ');
  return `will use the NATS server at ${hosts}, which must serve no other node`;
}

/** What the node can start with and will probably not be meant: a sentence each. */
export function settingsWarnings(config: NodeConfig): string[] {
  const { processes, connections, transfers, nats } = config.up;
  const warnings: string[] = [];
  const ofProcesses: [flag: string, isGiven: boolean][] = [
    ['--connections', connections > 1],
    ['--transfers', transfers > 1],
    ['--nats', nats.length > 0],
  ];
  for (const [flag, isGiven] of ofProcesses) {
    if (isGiven && !processes) warnings.push(`${flag} has no effect without --processes`);
  }
  for (const folder of config.searchIndex.share) {
    if (!existsSync(folder)) warnings.push(`--share ${folder}: there is no such folder; it is shared when it appears`);
  }
  const handles = handleWarning(config);
  if (handles !== undefined) warnings.push(handles);
  return warnings;
}

/** Too few file handles for the links asked for. */
function handleWarning(config: NodeConfig): string | undefined {
  if (!existsSync('/proc/self/limits')) return undefined;
  const match = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  const limit = Number(match?.[1] ?? Number.POSITIVE_INFINITY);
  const edges = config.up.processes ? config.up.connections : 1;
  const wanted = Math.ceil((config.connections.maxLeaves + config.connections.maxUltrapeers) / edges) + 256;
  if (limit >= wanted) return undefined;
  return `this process may open ${limit} files, and the links asked for need about ${wanted}: raise "ulimit -n" or run more connections processes`;
}
