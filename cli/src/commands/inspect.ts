import { bootstrapV1, connectionsV1, routerV1, searchV1, transfersV1 } from '@filbert/contracts';
import { parsePeerAddress } from '@filbert/gnutella';
import { callStream, callUnary, RpcError, type FlagValues } from '@filbert/kit';
import { SERVICE_AWAY } from '../control/asking.ts';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { CALL_TIMEOUT_MS, MAX_SENTENCE_CHARS, withNode } from '../control/control-client.ts';
import { bytes, duration, printable, printJson, table } from './show.ts';
import { busAway } from './who-is-asked.ts';

/** How long `connect` waits for the end of a dial, in ms: an unreachable host is given up before that. */
const DIAL_WAIT_MS = 20_000;
const DIAL_OUTCOMES: Partial<Record<connectionsV1.DialOutcome, string>> = {
  [connectionsV1.DialOutcome.DIAL_OUTCOME_LINKED]: 'linked',
  [connectionsV1.DialOutcome.DIAL_OUTCOME_FAILED]: 'failed',
};

/** `filbert status`: what the node is and does, so far as its parts answer. */
export async function status(flags: FlagValues): Promise<void> {
  await withNode(flags, async (client) => {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const answers = await Promise.allSettled([
      callUnary(client, bootstrapV1.BootstrapServiceService.getFacts, {}, options),
      callUnary(client, connectionsV1.ConnectionsServiceService.getStats, {}, options),
      callUnary(client, routerV1.RouterServiceService.getStats, {}, options),
      // Of these it only counts that they answer.
      callUnary(client, searchV1.SearchServiceService.getStats, {}, options),
      callUnary(client, transfersV1.TransfersServiceService.listUploads, {}, options),
    ]);
    const failures = answers.flatMap((part) => (part.status === 'rejected' ? [asError(part.reason)] : []));
    const [nobodyAnswers] = failures.length === answers.length ? failures : [];
    if (nobodyAnswers !== undefined) throw nobodyAnswers;
    const away = busAway(valueOf(answers[1])?.edges ?? []);
    if (away !== undefined) failures.push(new RpcError('unavailable', away, { code: SERVICE_AWAY }));
    const [facts, edges, router] = [valueOf(answers[0]), valueOf(answers[1])?.edges, valueOf(answers[2])?.shards];
    if (flags['json'] === true) {
      const problems = failures.map(({ message }) => printable(message, MAX_SENTENCE_CHARS));
      printJson({ ...facts, edges: edges ?? null, shards: router ?? null, problems });
    } else {
      printStatus(facts, edges, router);
    }
    if (failures[0] !== undefined) throw failures[0];
  });
}

function printStatus(
  facts: bootstrapV1.GetFactsResponse | undefined,
  edges: readonly connectionsV1.EdgeStats[] | undefined,
  shards: readonly routerV1.ShardStats[] | undefined,
): void {
  const first = edges?.[0];
  const ofFacts = (tell: (facts: bootstrapV1.GetFactsResponse) => string): string | undefined => facts && tell(facts);
  const ofEdges = (tell: (edges: readonly connectionsV1.EdgeStats[]) => string): string | undefined =>
    edges && tell(edges);
  const ofShards = (tell: (shard: routerV1.ShardStats) => number): string | undefined =>
    shards && `${sum(shards, tell)}`;
  const rows: readonly (readonly [name: string, value: string | undefined])[] = [
    ['servent GUID', ofFacts(({ serventGuid }) => serventGuid)],
    ['listening on', ofEdges((all) => [...new Set(all.map((edge) => edge.listenAddress))].join(', '))],
    ['own address', ofFacts(ownAddress)],
    ['up for', ofFacts(({ startedAtMs }) => duration(Date.now() - startedAtMs))],
    ['leaves', ofEdges((all) => `${sum(all, (edge) => edge.leaves)} of ${first?.maxLeaves ?? 0}`)],
    ['ultrapeers', ofEdges((all) => `${sum(all, (edge) => edge.ultrapeers)} of ${first?.maxUltrapeers ?? 0}`)],
    ['hosts known', ofFacts(({ hostsKnown }) => `${hostsKnown}`)],
    ['messages in, out', ofEdges((all) => `${sum(all, (e) => e.messagesIn)}, ${sum(all, (e) => e.messagesOut)}`)],
    ['queries routed', ofShards((shard) => shard.queries)],
    ['copies delivered', ofShards((shard) => shard.deliveries)],
    ['hits routed', ofShards((shard) => shard.hits)],
    ['processes', `${edges?.length ?? '?'} connections, ${shards?.length ?? '?'} router shards`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value ?? '?'}`);
}

function valueOf<T>(part: PromiseSettledResult<T>): T | undefined {
  return part.status === 'fulfilled' ? part.value : undefined;
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

const ADDRESS_SOURCES: Readonly<Record<string, string>> = {
  advertised: 'as --advertise says',
  listening: 'where it listens',
  reached: 'that peers reached',
  peers: 'as peers of several networks see it',
  dialled: 'its end of links that it made',
};

/** The address that peers are told, where it is from, and whether they can connect to it. */
function ownAddress({ ownAddress: address, ownAddressFrom, firewalled }: bootstrapV1.GetFactsResponse): string {
  const known = address === '' ? 'not known yet' : `${address} (${ADDRESS_SOURCES[ownAddressFrom] ?? ownAddressFrom})`;
  return firewalled ? `${known}; nobody connected to it yet, so files are offered by PUSH only` : known;
}

/** `filbert peers`: one line a link. */
export async function peers(flags: FlagValues): Promise<void> {
  const links: connectionsV1.ListLinksResponse[] = [];
  await withNode(flags, async (client) => {
    const stream = callStream(
      client,
      connectionsV1.ConnectionsServiceService.listLinks,
      {},
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    for await (const link of stream) {
      if (flags['json'] === true) printJson(link);
      else links.push(link);
    }
  });
  if (flags['json'] === true) return;
  if (links.length === 0) {
    console.log('no peers');
    return;
  }
  const rows = links.map((link) => [
    `${link.edgeId}/${link.link}`,
    link.kind,
    link.remoteAddress,
    link.outgoing ? 'out' : 'in',
    duration(Date.now() - link.connectedAtMs),
    link.tableBits === 0 ? '-' : `${link.tableSlotsSet}/2^${link.tableBits}`,
    `${bytes(link.bytesIn)} / ${bytes(link.bytesOut)}`,
    printable(link.userAgent, 40),
  ]);
  console.log(table(['LINK', 'KIND', 'ADDRESS', 'DIR', 'AGE', 'TABLE', 'IN / OUT', 'AGENT'], rows));
}

/** `filbert connect ADDRESS`: dials a peer, and tells how that ended. */
export async function connect(address: string, flags: FlagValues): Promise<void> {
  if (parsePeerAddress(address) === undefined) {
    const problem = `"${printable(address, MAX_SENTENCE_CHARS)}" is not IP:PORT; a name is not looked up`;
    throw new CommandError(ExitCode.usage, problem);
  }
  const waitMs = flags['wait'] === false ? 0 : DIAL_WAIT_MS;
  const { accepted, reason, outcome } = await withNode(flags, (client) =>
    callUnary(
      client,
      connectionsV1.ConnectionsServiceService.connect,
      { address, waitMs },
      { timeoutMs: waitMs + CALL_TIMEOUT_MS },
    ),
  );
  const { DialOutcome } = connectionsV1;
  const failed = outcome === DialOutcome.DIAL_OUTCOME_FAILED;
  if (flags['json'] === true) printJson({ accepted, reason, outcome: DIAL_OUTCOMES[outcome] ?? null });
  if (!accepted) throw new CommandError(ExitCode.failed, reason);
  if (failed) {
    throw new CommandError(ExitCode.failed, `${address} is not linked: ${printable(reason, MAX_SENTENCE_CHARS)}`);
  }
  if (flags['json'] === true) return;
  if (outcome === DialOutcome.DIAL_OUTCOME_LINKED) console.log(`linked to ${address}`);
  else console.log(`dialling ${address}; "filbert peers" shows when it is linked`);
}

function sum<T>(items: readonly T[], read: (item: T) => number): number {
  return items.reduce((total, item) => total + read(item), 0);
}
