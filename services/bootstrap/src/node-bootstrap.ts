import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import {
  edgesSummary,
  hostsCandidates,
  hostsSeen,
  nodeFacts,
  nodeFactsRequest,
  type EdgeSummary,
  type NodeFacts,
} from '@filbert/contracts';
import { formatHostPort, type Bus, type HostPort, type Logger, type Subscription } from '@filbert/kit';
import { openDatabase } from './database.ts';
import { ServiceSummaries } from './service-summaries.ts';
import { HostCache } from './host-cache.ts';
import { loadIdentity, type Identity } from './identity.ts';

/** The facts are published on change and this often besides. */
const FACTS_INTERVAL_MS = 2_000;
const SAVE_INTERVAL_MS = 5_000;
/** Candidates in one answer. */
const MAX_CANDIDATES = 16;
/** Hosts in the facts, for edges to hand to peers. */
const HOSTS_TO_HAND_OUT = 20;
/** Reports of one edge hold at most this many hosts; the rest is ignored. */
const MAX_HOSTS_PER_REPORT = 500;
/** An edge that said nothing for this long holds no links any more. */
const EDGE_LOST_MS = 3_500;

export interface NodeBootstrapOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly data: string;
  readonly connect: readonly HostPort[];
  readonly seeds: readonly string[];
  readonly advertise: HostPort | undefined;
  readonly routerShards: number;
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
}

/** Who the node is and whom it knows: tells every service the facts, keeps the hosts, hands out candidates. */
export class NodeBootstrap {
  readonly #options: NodeBootstrapOptions;
  readonly #startedAtMs: number;
  readonly #subscriptions: Subscription[] = [];
  readonly #edges = new Map<string, { summary: EdgeSummary; at: number }>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #services: ServiceSummaries;
  #database: DatabaseSync | undefined;
  #hosts: HostCache | undefined;
  #facts: NodeFacts | undefined;
  #saveFailed = false;

  constructor(options: NodeBootstrapOptions) {
    this.#options = options;
    this.#startedAtMs = options.now();
    this.#services = new ServiceSummaries({ bus: options.bus, now: options.now, onChange: () => this.#publish() });
  }

  get facts(): NodeFacts | undefined {
    return this.#facts;
  }

  get hosts(): HostCache | undefined {
    return this.#hosts;
  }

  /** Edges heard of lately. */
  get edges(): number {
    this.#forgetSilentEdges();
    return this.#edges.size;
  }

  /** Parts of the library and transfers workers heard of lately. */
  get summaries(): { readonly libraries: number; readonly workers: number } {
    return this.#services.alive;
  }

  get startedAtMs(): number {
    return this.#startedAtMs;
  }

  /** @throws Error with a sentence where the data folder cannot be used */
  start(): void {
    const { bus, data, allowPrivate, now } = this.#options;
    const { database, identity, hosts } = load(data, allowPrivate, now);
    this.#database = database;
    this.#hosts = hosts;
    for (const address of this.#options.connect) this.#addOwn(hosts, formatHostPort(address), 'configured');
    for (const address of this.#options.seeds) this.#addOwn(hosts, address, 'seed');
    this.#facts = {
      version: 1,
      serventGuid: identity.serventGuid,
      nodeSecret: identity.nodeSecret,
      shards: this.#options.routerShards,
      shardMapVersion: 1,
      advertisedAddress: this.#options.advertise === undefined ? '' : formatHostPort(this.#options.advertise),
      transfersAddress: '',
      sharedFiles: 0,
      sharedKib: 0,
      hosts: hosts.best(HOSTS_TO_HAND_OUT),
      startedAtMs: this.#startedAtMs,
    };
    this.#subscriptions.push(
      bus.respond(nodeFactsRequest, () => this.#facts),
      bus.subscribe(edgesSummary, (summary) => this.#edges.set(summary.edgeId, { summary, at: now() })),
      bus.subscribe(hostsSeen, (seen) => {
        for (const host of seen.hosts.slice(0, MAX_HOSTS_PER_REPORT)) {
          hosts.note(host.address, host.outcome, host.ultrapeer);
        }
      }),
      bus.respond(hostsCandidates, (request) => ({
        addresses: hosts.lease(Math.min(request.wanted, MAX_CANDIDATES), (address) => this.#isConnected(address)),
      })),
    );
    this.#services.start();
    this.#publish();
    this.#timers.push(
      setInterval(() => this.#publish(), FACTS_INTERVAL_MS),
      setInterval(() => this.save(), SAVE_INTERVAL_MS),
    );
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#services.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.save();
    this.#database?.close();
    this.#database = undefined;
  }

  /** Adds a host of the settings, and says so where it is not used. */
  #addOwn(hosts: HostCache, address: string, source: 'configured' | 'seed'): void {
    if (hosts.add(address, source, true)) return;
    this.#options.logger.warn(
      { address },
      'not used: no IP:PORT of a peer; names are not looked up, loopback and private addresses need --allow-private',
    );
  }

  #publish(): void {
    if (this.#facts === undefined || this.#hosts === undefined) return;
    const hosts = this.#hosts.best(HOSTS_TO_HAND_OUT);
    const { files, kib } = this.#services.shared();
    const transfersAddress = this.#services.transfersAddress(this.#options.advertise);
    const known = this.#facts;
    if (
      hosts.join() !== known.hosts.join() ||
      files !== known.sharedFiles ||
      kib !== known.sharedKib ||
      transfersAddress !== known.transfersAddress
    ) {
      this.#facts = {
        ...known,
        version: known.version + 1,
        hosts,
        transfersAddress,
        sharedFiles: files,
        sharedKib: kib,
      };
    }
    this.#options.bus.publish(nodeFacts, this.#facts);
  }

  #isConnected(address: string): boolean {
    this.#forgetSilentEdges();
    for (const { summary } of this.#edges.values()) if (summary.ultrapeerAddresses.includes(address)) return true;
    return false;
  }

  #forgetSilentEdges(): void {
    const oldest = this.#options.now() - EDGE_LOST_MS;
    for (const [edgeId, { at }] of this.#edges) if (at < oldest) this.#edges.delete(edgeId);
  }

  /** Writes what became known of hosts; a failure is logged, and what was not written stays due. */
  save(): void {
    try {
      this.#hosts?.save();
      if (this.#saveFailed) this.#options.logger.info('known hosts can be saved again');
      this.#saveFailed = false;
    } catch (error) {
      // Told once and not every few seconds: nothing is lost while the process lives.
      if (!this.#saveFailed) this.#options.logger.error({ err: error }, 'known hosts cannot be saved; will try again');
      this.#saveFailed = true;
    }
  }
}

/** @throws Error with a sentence where the data folder cannot be used */
function load(
  folder: string,
  allowPrivate: boolean,
  now: () => number,
): { database: DatabaseSync; identity: Identity; hosts: HostCache } {
  const database = openDatabase(folder);
  try {
    return {
      database,
      identity: loadIdentity(database, randomBytes),
      hosts: new HostCache({ database, allowPrivate, now }),
    };
  } catch (cause) {
    database.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot use the identity and hosts in ${folder}: ${reason}`, { cause });
  }
}
