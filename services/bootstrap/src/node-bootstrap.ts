import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import {
  EdgeSummaries,
  edgesSummary,
  hostsCandidates,
  hostsSeen,
  nodeFacts,
  nodeFactsRequest,
  ownAddressOf,
  OwnAddressSource,
  type NodeFacts,
} from '@filbert/contracts';
import { formatPeerAddress } from '@filbert/gnutella';
import {
  parseHostPort,
  type Bus,
  type HostPort,
  type Logger,
  type Subscription,
  type TimerHandle,
  type Timers,
} from '@filbert/kit';
import { openDatabase } from './database.ts';
import { HostCache, type ForgetReason } from './host-cache.ts';
import { loadIdentity, type Identity } from './identity.ts';
import { NamedHosts, type LookUp } from './named-hosts.ts';
import { OwnAddress } from './own-address.ts';
import { ServiceSummaries } from './service-summaries.ts';

/** The facts are published on change and this often besides. */
const FACTS_INTERVAL_MS = 2_000;
const SAVE_INTERVAL_MS = 5_000;
/** Candidates in one answer. */
const MAX_CANDIDATES = 16;
/** Hosts in the facts, for edges to hand to peers. */
const HOSTS_TO_HAND_OUT = 20;
/** Reports of one edge hold at most this many hosts; the rest is ignored. */
const MAX_HOSTS_PER_REPORT = 500;
/** Likewise what peers say of our address. */
const MAX_VOTES_PER_REPORT = 100;

/** Why a host that an edge or a setting named was not taken. */
export const HOST_REFUSALS = ['unusable', 'no-room', 'report-too-long'] as const;
/** Why what a peer says of our address was not taken. */
export const VOTE_REFUSALS = ['unusable', 'report-too-long'] as const;
/** Whose summaries are followed. */
export const SUMMARY_KINDS = ['edge', 'library', 'transfers'] as const;

/** What was not taken, or not kept, by reason; plain numbers that metrics read. */
export interface BootstrapDrops {
  readonly hostsRefused: Readonly<Record<(typeof HOST_REFUSALS)[number], number>>;
  readonly hostsForgotten: Readonly<Record<ForgetReason, number>>;
  readonly votesRefused: Readonly<Record<(typeof VOTE_REFUSALS)[number], number>>;
  readonly votesForgotten: Readonly<Record<ForgetReason, number>>;
  readonly summariesRefused: Readonly<Record<(typeof SUMMARY_KINDS)[number], number>>;
}

/** Where the node's own address is known from, as control calls tell it. */
export const ADDRESS_SOURCE_NAMES: Readonly<Record<OwnAddressSource, string>> = {
  [OwnAddressSource.UNRECOGNIZED]: '',
  [OwnAddressSource.OWN_ADDRESS_SOURCE_UNSPECIFIED]: '',
  [OwnAddressSource.OWN_ADDRESS_SOURCE_LISTEN]: 'listening',
  [OwnAddressSource.OWN_ADDRESS_SOURCE_REACHED]: 'reached',
  [OwnAddressSource.OWN_ADDRESS_SOURCE_PEERS]: 'peers',
  [OwnAddressSource.OWN_ADDRESS_SOURCE_DIALLED]: 'dialled',
};

export interface NodeBootstrapOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly data: string;
  readonly connect: readonly HostPort[];
  /** "host:port" */
  readonly seeds: readonly string[];
  readonly advertise: HostPort | undefined;
  readonly routerShards: number;
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
  readonly timers: Timers;
  /** Finds the addresses of names; by default the system does. */
  readonly lookUp?: LookUp;
}

/** Who the node is and whom it knows: tells every service the facts, keeps the hosts, hands out candidates. */
export class NodeBootstrap {
  readonly #options: NodeBootstrapOptions;
  readonly #startedAtMs: number;
  readonly #subscriptions: Subscription[] = [];
  readonly #edges: EdgeSummaries;
  readonly #names: NamedHosts;
  readonly #ownAddress: OwnAddress;
  readonly #stopTimers: (() => void)[] = [];
  readonly #services: ServiceSummaries;
  /** Hosts and votes of reports beyond what one may hold. */
  readonly #cut = { hosts: 0, votes: 0 };
  #database: DatabaseSync | undefined;
  #hosts: HostCache | undefined;
  #facts: NodeFacts | undefined;
  #saveFailed = false;

  constructor(options: NodeBootstrapOptions) {
    this.#options = options;
    this.#startedAtMs = options.now();
    this.#edges = new EdgeSummaries(options.now);
    this.#names = new NamedHosts(options);
    this.#ownAddress = new OwnAddress(options);
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
    return this.#edges.size;
  }

  /** Parts of the library and transfers workers heard of lately. */
  get summaries(): { readonly libraries: number; readonly workers: number } {
    return this.#services.alive;
  }

  get drops(): BootstrapDrops {
    const { refused, forgotten } = this.#ownAddress.votes;
    return {
      hostsRefused: { unusable: 0, 'no-room': 0, ...this.#hosts?.refused, 'report-too-long': this.#cut.hosts },
      hostsForgotten: { full: 0, age: 0, ...this.#hosts?.forgotten },
      votesRefused: { unusable: refused, 'report-too-long': this.#cut.votes },
      votesForgotten: forgotten,
      summariesRefused: { edge: this.#edges.ignored, ...this.#services.refused },
    };
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
    this.#facts = {
      version: 1,
      serventGuid: identity.serventGuid,
      nodeSecret: identity.nodeSecret,
      shards: this.#options.routerShards,
      shardMapVersion: 1,
      advertisedAddress: '',
      transfersAddress: '',
      sharedFiles: 0,
      sharedKib: 0,
      hosts: hosts.best(HOSTS_TO_HAND_OUT),
      startedAtMs: this.#startedAtMs,
      learnedAddress: '',
      learnedFrom: OwnAddressSource.OWN_ADDRESS_SOURCE_UNSPECIFIED,
      firewalled: true,
    };
    this.#useSettings(hosts);
    this.#subscriptions.push(
      bus.respond(nodeFactsRequest, () => this.#facts),
      bus.subscribe(edgesSummary, (summary) => {
        this.#edges.note(summary);
        this.#learnAddress();
      }),
      bus.subscribe(hostsSeen, (seen) => {
        for (const host of seen.hosts.slice(0, MAX_HOSTS_PER_REPORT)) {
          hosts.note(host.address, host.outcome, host.ultrapeer);
        }
        for (const vote of seen.votes.slice(0, MAX_VOTES_PER_REPORT)) this.#ownAddress.vote(vote);
        this.#cut.hosts += Math.max(0, seen.hosts.length - MAX_HOSTS_PER_REPORT);
        this.#cut.votes += Math.max(0, seen.votes.length - MAX_VOTES_PER_REPORT);
      }),
      bus.respond(hostsCandidates, (request) => ({
        addresses: hosts.lease(
          Math.min(request.wanted, MAX_CANDIDATES),
          (address) => this.#isTaken(address),
          request.configuredOnly,
        ),
      })),
    );
    this.#services.start();
    this.#names.tick();
    this.#publish();
    this.#every(FACTS_INTERVAL_MS, () => {
      this.#names.tick();
      this.#publish();
    });
    this.#every(SAVE_INTERVAL_MS, () => this.save());
  }

  stop(): void {
    for (const stopTimer of this.#stopTimers) stopTimer();
    this.#services.stop();
    this.#names.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.save();
    this.#database?.close();
    this.#database = undefined;
  }

  /** Does `work` again and again until `stop`. */
  #every(intervalMs: number, work: () => void): void {
    const { timers } = this.#options;
    let timer: TimerHandle | undefined;
    const begin = (): void => {
      timer = timers.setTimeout(() => {
        begin();
        work();
      }, intervalMs);
    };
    begin();
    this.#stopTimers.push(() => timers.clearTimeout(timer));
  }

  /** Follows the hosts of the settings, names and addresses. */
  #useSettings(hosts: HostCache): void {
    const { connect, seeds, advertise } = this.#options;
    for (const host of connect) {
      // One servent, however many addresses its name has; it may move.
      let used = '';
      this.#names.add(host, '--connect', ([first]) => {
        const address = first === undefined ? '' : formatPeerAddress(first);
        if (address === used) return;
        hosts.release(used);
        used = address;
        this.#addOwn(hosts, address, 'configured');
      });
    }
    for (const seed of seeds) {
      const host = parseHostPort(seed);
      if (host === undefined) continue;
      this.#names.add(host, '--seeds', (addresses) => {
        for (const address of addresses) this.#addOwn(hosts, formatPeerAddress(address), 'seed');
      });
    }
    if (advertise === undefined) return;
    this.#names.add(advertise, '--advertise', ([address]) => {
      if (address === undefined || this.#facts === undefined) return;
      const advertisedAddress = formatPeerAddress(address);
      if (advertisedAddress === this.#facts.advertisedAddress) return;
      this.#facts = { ...this.#facts, version: this.#facts.version + 1, advertisedAddress, firewalled: false };
      this.#publish();
    });
  }

  /** Adds a host of the settings, and says so where it is not used. */
  #addOwn(hosts: HostCache, address: string, source: 'configured' | 'seed'): void {
    if (hosts.add(address, source, true)) return;
    this.#options.logger.warn(
      { address },
      'not used: no address of a peer; loopback and private ones need --allow-private',
    );
  }

  /** Takes over what the edges found out of the node's own address. */
  #learnAddress(): void {
    const known = this.#facts;
    if (known === undefined) return;
    const edges = [...this.#edges.alive()].filter(({ listenPort }) => listenPort > 0);
    const learned = this.#ownAddress.decide(edges);
    const firewalled = known.advertisedAddress === '' && learned.firewalled;
    if (learned.address === known.learnedAddress && learned.from === known.learnedFrom) {
      if (firewalled === known.firewalled) return;
    } else {
      this.#options.logger.info(
        { address: learned.address, from: ADDRESS_SOURCE_NAMES[learned.from] },
        known.advertisedAddress === ''
          ? 'peers reach the node here'
          : 'peers reach the node here; it advertises another',
      );
    }
    this.#facts = {
      ...known,
      version: known.version + 1,
      learnedAddress: learned.address,
      learnedFrom: learned.from,
      firewalled,
    };
    this.#publish();
  }

  #publish(): void {
    if (this.#facts === undefined || this.#hosts === undefined) return;
    const hosts = this.#hosts.best(HOSTS_TO_HAND_OUT);
    const { files, kib } = this.#services.shared();
    const transfersAddress = this.#services.transfersAddress(ownAddressOf(this.#facts));
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

  /** Whether there is a link to this address, or it is our own. */
  #isTaken(address: string): boolean {
    return (
      address === this.#facts?.advertisedAddress ||
      address === this.#facts?.learnedAddress ||
      this.#edges.holdsUltrapeer(address)
    );
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
