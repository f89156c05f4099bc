import { bootstrapV1, connectionsV1, routerV1 } from '@filbert/contracts';
import { callStream, callUnary, createRpcClient } from '@filbert/kit';
import type { NodeProcess } from '../../support/node-process.ts';
import { RawPeer, type RawConnectOptions, type RawListenOptions } from '../../support/raw-peer.ts';
import type { RawPeerServer } from '../../support/raw-peer-server.ts';
import type { RawTableOptions } from '../../support/raw-sender.ts';
import { guidBehind, randomGuid, RAW_DESCRIPTOR, shortTokens, type RawFrame } from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Form } from './forms.ts';

/** A control call may take this long. */
const CALL_TIMEOUT_MS = 5_000;

/** Connects until a peer is held by the process wanted: the kernel chooses, so the odds of failing are 2^-30. */
const MAX_PLACINGS = 30;

/** Probes that must all arrive where there are several shards: one of two is missed with odds of 2^-11. */
const PROBES = 12;

/** A round of probes may take this long before the missing ones are sent again. */
const PROBE_ROUND_MS = 150;

/** How long a table or a link may take to be in use everywhere. */
const READY_TIMEOUT_MS = 8_000;

/** How a peer joins: the handshake, and its table. */
export type JoinOptions = Partial<RawConnectOptions> & {
  /** Sent at once; for leaves and ultrapeers alike. */
  table?: RawTableOptions;
  /** Held by the same process as this one instead of by another. */
  beside?: RawPeer;
};

/** A query known to be handed on: its source, and words that the target's table holds (none for any query). */
export interface Marker {
  readonly source: RawPeer;
  readonly words: string;
}

/** Any peer of a scenario, as far as the network counts and closes it. */
interface Neighbour {
  readonly accepted: boolean;
  readonly destroyed: boolean;
  close: () => Promise<void>;
}

type Client = ReturnType<typeof createRpcClient>;

/** One node and the raw peers of a scenario around it. */
export class Network {
  readonly form: Form;
  readonly #keepsLinks: boolean;
  #node: NodeProcess | undefined;
  #client: Client | undefined;
  readonly #peers = new Set<Neighbour>();
  readonly #servers = new Set<{ close: () => Promise<void> }>();
  /** Which connections process holds each peer. */
  readonly #edges = new WeakMap<RawPeer, string>();
  #lastEdge: string | undefined;

  /** @param keepsLinks whether the node has neighbours besides this scenario's, so that its links are not counted */
  constructor(form: Form, keepsLinks: boolean) {
    this.form = form;
    this.#keepsLinks = keepsLinks;
  }

  /** Takes the node; it serves already. */
  async open(node: NodeProcess): Promise<void> {
    this.#node = node;
    const { control } = node.control();
    const [host = '', port = ''] = String(control).split(':');
    this.#client = createRpcClient({ address: { host, port: Number(port) } });
    // The first call opens connections to processes that may be busy with their start.
    await waitFor('control', () => this.shardStats().catch(() => undefined), READY_TIMEOUT_MS * 2);
  }

  /** Gives the node back. */
  close(): NodeProcess | undefined {
    this.#client?.close();
    this.#client = undefined;
    const node = this.#node;
    this.#node = undefined;
    return node;
  }

  get node(): NodeProcess {
    if (this.#node === undefined) throw new Error('network: no node');
    return this.#node;
  }

  /** Ends every peer and waits until the node has forgotten them, so that scenarios do not disturb each other. */
  async reset(): Promise<void> {
    for (const server of this.#servers) await server.close();
    await Promise.all([...this.#peers].map((peer) => peer.close()));
    this.#peers.clear();
    this.#servers.clear();
    this.#lastEdge = undefined;
    if (this.#node?.running === true && !this.#keepsLinks) await this.linked();
  }

  leaf(options: JoinOptions = {}): Promise<RawPeer> {
    return this.#join({ role: 'leaf', ...options });
  }

  ultrapeer(options: JoinOptions = {}): Promise<RawPeer> {
    return this.#join({ role: 'ultrapeer', ...options });
  }

  /** One dial, wherever it is held; a refusal resolves too. */
  async dial(options: Partial<RawConnectOptions> = {}): Promise<RawPeer> {
    const peer = await RawPeer.connect({ ...this.node.gnutella, role: 'leaf', answerPings: false, ...options });
    return this.keep(peer);
  }

  /** Counts a peer among the node's links and closes it with the scenario. */
  keep<Peer extends Neighbour>(peer: Peer): Peer {
    this.#peers.add(peer);
    return peer;
  }

  /** Closes it with the scenario. */
  keepServer<Server extends { close: () => Promise<void> }>(server: Server): Server {
    this.#servers.add(server);
    return server;
  }

  /** A port where the node is awaited; it is closed with the scenario. */
  async listen(options: Partial<RawListenOptions> = {}): Promise<RawPeerServer<RawPeer>> {
    return this.keepServer(await RawPeer.listen({ role: 'ultrapeer', answerPings: false, ...options }));
  }

  /** The next peer that the node dialled there. */
  async accept<Peer extends Neighbour>(server: RawPeerServer<Peer>): Promise<Peer> {
    return this.keep(await server.accept());
  }

  /** Tells the node to dial. @throws Error where it will not */
  async connect(address: string): Promise<void> {
    const { accepted, reason } = await callUnary(
      this.#control,
      connectionsV1.ConnectionsServiceService.connect,
      { address, waitMs: 0 },
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    if (!accepted) throw new Error(reason);
  }

  /** Tells the node to end its link to this peer. @returns whether it had one */
  async disconnect(peer: RawPeer, reason: string): Promise<boolean> {
    const link = await this.linkOf(peer);
    if (link === undefined) return false;
    const { disconnect } = connectionsV1.ConnectionsServiceService;
    const request = { edgeId: link.edgeId, link: link.link, reason };
    return (await callUnary(this.#control, disconnect, request, { timeoutMs: CALL_TIMEOUT_MS })).found;
  }

  /** Every link of the node. */
  async links(): Promise<connectionsV1.ListLinksResponse[]> {
    const { listLinks } = connectionsV1.ConnectionsServiceService;
    const links: connectionsV1.ListLinksResponse[] = [];
    const stream = callStream(this.#control, listLinks, {}, { timeoutMs: CALL_TIMEOUT_MS });
    for await (const link of stream) links.push(link);
    return links;
  }

  /** What the node says of itself. */
  facts(): Promise<bootstrapV1.GetFactsResponse> {
    const { getFacts } = bootstrapV1.BootstrapServiceService;
    return callUnary(this.#control, getFacts, {}, { timeoutMs: CALL_TIMEOUT_MS });
  }

  /** What every shard says of itself. */
  async shardStats(): Promise<routerV1.ShardStats[]> {
    const { getStats } = routerV1.RouterServiceService;
    return (await callUnary(this.#control, getStats, {}, { timeoutMs: CALL_TIMEOUT_MS })).shards;
  }

  /** The link that the node holds to this peer. */
  async linkOf(peer: RawPeer): Promise<connectionsV1.ListLinksResponse | undefined> {
    const { ip, port } = peer.local;
    return (await this.links()).find((link) => link.remoteAddress === `${ip}:${port}`);
  }

  /** Waits until every shard knows exactly the peers of this scenario that are linked, or `count` links. */
  async linked(count?: number): Promise<void> {
    const expected = count ?? [...this.#peers].filter((peer) => peer.accepted && !peer.destroyed).length;
    await waitFor(
      `${expected} links in each shard`,
      async () => {
        const shards = await this.shardStats();
        return shards.length === this.form.shards && shards.every(({ neighbours }) => neighbours === expected);
      },
      READY_TIMEOUT_MS,
    );
  }

  /**
   * Waits until every shard hands queries of `source` with these words to `target`: links and tables reach the shards
   * apart from the queries of other processes. A table of which this is true stays in use until it is changed.
   */
  async ready(source: RawPeer, target: RawPeer, words: string): Promise<void> {
    const missing = new Set(Array.from({ length: this.form.shards > 1 ? PROBES : 1 }, randomGuid));
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (missing.size > 0) {
      if (Date.now() > deadline) throw new Error(`network: queries for "${words}" do not arrive`);
      await Promise.all(
        [...missing].map(async (guid) => {
          // Behind the first probe of its kind: in the same shard each time.
          const probe = this.#marker({ source, words }, target, guid);
          const arrived = await target.nextOf('query', probe.guid, PROBE_ROUND_MS).catch(() => undefined);
          if (arrived !== undefined) missing.delete(guid);
        }),
      );
    }
  }

  /**
   * Waits until whatever the marker's source sent before, and that the shard of `guid` routes, has reached `target`.
   */
  async barrier(target: RawPeer, guid: string, marker: Marker): Promise<void> {
    await target.nextOf('query', this.#marker(marker, target, guid).guid);
  }

  /** Asserts that the message did not reach `target`. @throws Error when it did */
  async absent(target: RawPeer, frame: RawFrame, marker: Marker, routedBy = frame.guid): Promise<void> {
    const same = ({ guid, descriptor }: RawFrame): boolean => guid === frame.guid && descriptor === frame.descriptor;
    await target.expectNone(same, () => this.barrier(target, routedBy, marker));
  }

  #marker({ source, words }: Marker, target: RawPeer, guid: string): RawFrame {
    return source.sendQuery({
      guid: guidBehind(guid),
      // TTL 4 is 3 when it arrives: never the last hop, where tables would be asked.
      ttl: target.role === 'leaf' ? 1 : 4,
      text: `${words} ${shortTokens()}`,
    });
  }

  async #join({ table, beside, ...options }: JoinOptions & { role: RawPeer['role'] }): Promise<RawPeer> {
    const wanted = beside === undefined ? undefined : this.#edges.get(beside);
    for (let placing = 0; placing < MAX_PLACINGS; placing++) {
      const peer = await this.dial(options);
      if (!peer.accepted) throw new Error(`network: refused with ${peer.status.line}`);
      const edge = this.form.edges === 1 ? undefined : (await this.#linkOnceOpen(peer)).edgeId;
      const placed = edge === undefined || (wanted === undefined ? edge !== this.#lastEdge : edge === wanted);
      if (!placed) {
        await peer.close();
        this.#peers.delete(peer);
        continue;
      }
      if (edge !== undefined) {
        this.#edges.set(peer, edge);
        this.#lastEdge = edge;
      }
      if (table !== undefined) peer.sendTable(table);
      if (!this.#keepsLinks) await this.linked();
      return peer;
    }
    throw new Error(`network: ${MAX_PLACINGS} connections went to one process`);
  }

  /** The node opens its link when it has read the third block, which is after our side has. */
  #linkOnceOpen(peer: RawPeer): Promise<connectionsV1.ListLinksResponse> {
    return waitFor('the link of a peer', () => this.linkOf(peer));
  }

  get #control(): Client {
    if (this.#client === undefined) throw new Error('network: no node');
    return this.#client;
  }
}

/** Picks queries. */
export function isQuery(frame: RawFrame): boolean {
  return frame.descriptor === RAW_DESCRIPTOR.query;
}
