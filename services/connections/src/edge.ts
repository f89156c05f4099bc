import type { Socket } from 'node:net';
import { ByeCode, type HandshakeOutcome } from '@filbert/gnutella';
import {
  edgeControl,
  edgeEgress,
  edgesSummary,
  HostOutcome,
  Ingress,
  ShardMap,
  StateStream,
  type EdgeControlReply,
  type EdgeControlRequest,
} from '@filbert/contracts';
import { formatHostPort, type Bus, type HostPort, type Logger, type Subscription } from '@filbert/kit';
import { Acceptor } from './acceptor.ts';
import { EdgeCounters } from './counters.ts';
import { Deliveries } from './deliveries.ts';
import { Dialer, type DialEnd } from './dialer.ts';
import { Doorkeeper, type Newcomer } from './doorkeeper.ts';
import { FlushScheduler } from './flush-scheduler.ts';
import { dispatchFrame } from './frames/dispatch.ts';
import type { EdgeContext } from './frames/edge-context.ts';
import { HalfPatches } from './frames/half-patches.ts';
import { expireResets } from './frames/qrp.ts';
import { QueryFilter } from './frames/query-filter.ts';
import { greet } from './frames/greeting.ts';
import { HandOver } from './hand-over.ts';
import { HostReporter } from './host-reporter.ts';
import { KeepAlive } from './keep-alive.ts';
import { LocalAddresses } from './local-addresses.ts';
import { CompressionBudget } from './link/compression-budget.ts';
import { LinkRegistry } from './link/link-registry.ts';
import { LinkReporter } from './link/link-reporter.ts';
import { PeerLink, type LinkHost } from './link/peer-link.ts';
import { ReadTurns } from './link/read-turns.ts';
import { NodeView } from './node-view.ts';
import { OwnPong, type OwnPongOptions } from './pongs/own-pong.ts';
import { PongCache } from './pongs/pong-cache.ts';
import { Surroundings } from './surroundings.ts';
import { MergedFollower } from './tables/merged-follower.ts';
import { TurnClock } from './turn-clock.ts';

/** Addresses of leaves in a summary: a sample for crawlers. */
const SUMMARY_LEAVES = 32;
const TICK_MS = 1_000;
/** Characters of a BYE's text. */
const MAX_REASON_CHARS = 200;
/** Peers that were told to go are given this long to have read it before the edge stops. */
const DRAIN_WAIT_MS = 2_000;
/** While draining, links are ended in groups, so that not all come back at once. */
const DRAIN_GROUP = 100;

export interface EdgeOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly edgeId: string;
  readonly epoch: number;
  readonly listen: HostPort;
  readonly reusePort: boolean;
  readonly userAgent: string;
  readonly maxLeaves: number;
  readonly maxUltrapeers: number;
  readonly allowPrivate: boolean;
  readonly deflateBudgetBytes: number;
  readonly maxHandshakes: number;
  /** From an incoming connection to the end of its handshake, ms; 30 s by default. */
  readonly handshakeTimeoutMs?: number;
  /** Addresses that the limits per address and network spare; by default private ones where these are allowed. */
  readonly isExempt?: (ip: string) => boolean;
  /** ms, monotonic; the system's clock by default. */
  readonly now?: () => number;
  /** ms since 1970; the system's clock by default. */
  readonly wallClock?: () => number;
  /** Takes HTTP and GIV connections in this process; without it they go to transfers workers over TCP. */
  readonly takeTransfer?: (socket: Socket, first: Buffer) => void;
}

/** The edge: holds links, applies every rule that needs one link only, and moves frames between links and shards. */
export class Edge implements LinkHost {
  readonly counters = new EdgeCounters();
  readonly links = new LinkRegistry();
  readonly budget: CompressionBudget;
  readonly flushes: FlushScheduler;
  readonly readTurns = new ReadTurns(() => this.#ingress?.pressure ?? 0);
  readonly userAgent: string;
  readonly startedAtMs: number;
  readonly view: NodeView;
  readonly handOver: HandOver;
  readonly halfPatches = new HalfPatches();
  readonly queryFilter = new QueryFilter();
  readonly #options: EdgeOptions;
  readonly #clock: TurnClock;
  readonly #wallClock: () => number;
  readonly #bus: Bus;
  readonly #log: Logger;
  readonly #state: StateStream;
  readonly #reporter: LinkReporter;
  readonly #pongs: PongCache;
  readonly #hosts: HostReporter;
  readonly #merged: MergedFollower;
  readonly #around: Surroundings;
  readonly #addresses: LocalAddresses;
  readonly #doorkeeper: Doorkeeper;
  readonly #dialer: Dialer;
  readonly #acceptor: Acceptor;
  readonly #keepAlive: KeepAlive;
  readonly #deliveries: Deliveries;
  readonly #subscriptions: Subscription[] = [];
  #ingress: Ingress | undefined;
  #context: EdgeContext | undefined;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #onEmpty: () => void = () => undefined;

  constructor(options: EdgeOptions) {
    this.#options = options;
    this.#bus = options.bus;
    this.#log = options.logger;
    this.userAgent = options.userAgent;
    this.#clock = new TurnClock(options.now);
    this.#wallClock = options.wallClock ?? Date.now;
    this.startedAtMs = this.#wallClock();
    const now = (): number => this.#clock.now();
    const { bus, edgeId, epoch, allowPrivate } = options;
    this.budget = new CompressionBudget(options.deflateBudgetBytes);
    this.flushes = new FlushScheduler(now);
    this.#state = new StateStream({ bus, edgeId, epoch, links: () => this.links.all() });
    this.#deliveries = new Deliveries({
      edgeId,
      epoch,
      links: this.links,
      counters: this.counters,
      wallClock: this.#wallClock,
    });
    this.#reporter = new LinkReporter({ state: this.#state, now });
    this.#pongs = new PongCache(now, Math.random);
    this.#hosts = new HostReporter({ bus, edgeId, allowPrivate });
    this.#merged = new MergedFollower({ bus, edgeId, now });
    this.#keepAlive = new KeepAlive({ links: this.links, pongs: this.#pongs, now, random: Math.random });
    this.#addresses = new LocalAddresses({ allowPrivate, now });
    this.view = new NodeView({
      bus,
      edgeId,
      now,
      onPoll: () => this.#publishSummary(),
    });
    this.handOver = new HandOver({
      bus,
      now,
      ...(options.takeTransfer !== undefined && { local: options.takeTransfer }),
    });
    this.#around = new Surroundings({
      ...options,
      links: this.links,
      view: this.view,
      pongs: this.#pongs,
      port: () => this.#acceptor.port,
      listenAddress: () => this.listenAddress,
    });
    this.#doorkeeper = new Doorkeeper({
      ...options,
      links: this.links,
      view: this.view,
      around: this.#around,
      hosts: this.#hosts,
      budget: this.budget,
      counters: this.counters,
      waiting: () => this.#acceptor.waiting,
      isDraining: () => this.#draining,
      now,
      wallClock: this.#wallClock,
      onOpen: (socket, outcome, newcomer) => this.#open(socket, outcome, newcomer),
    });
    this.#dialer = new Dialer({
      bus,
      edgeId,
      allowPrivate,
      wanted: () => this.#around.ultrapeersWanted(),
      free: () => this.#around.freeSlots().ultrapeers,
      isOwn: (address) => this.#around.isOwn(address),
      isTaken: (address) => this.#around.isTaken(address),
      onConnected: (socket, address, done) => this.#doorkeeper.initiate(socket, address, done),
      onUnreachable: (address) => {
        this.counters.dialsFailed++;
        this.#hosts.note(address, HostOutcome.HOST_OUTCOME_UNREACHABLE, true);
      },
    });
    this.#acceptor = new Acceptor({
      listen: options.listen,
      reusePort: options.reusePort,
      ...(options.handshakeTimeoutMs !== undefined && { handshakeTimeoutMs: options.handshakeTimeoutMs }),
      admit: (_socket, remoteIp) => this.#doorkeeper.mayConnect(remoteIp),
      isLimited: (ip) => this.#around.isLimited(ip),
      onTooMany: () => {
        this.counters.refused['too-many-handshakes']++;
      },
      onGnutella: (socket, remoteIp, first, leftMs) => this.#doorkeeper.accept(socket, remoteIp, first, leftMs),
      onTransfer: (socket, remoteIp, first) => this.handOver.take(socket, remoteIp, first),
      onForeign: () => {
        this.counters.refused['not-gnutella']++;
      },
    });
  }

  get handshaking(): number {
    return this.#doorkeeper.handshaking + this.#acceptor.waiting;
  }

  get ingress(): Ingress | undefined {
    return this.#ingress;
  }

  get hostsRefused(): number {
    return this.#hosts.refused;
  }

  /** What peers say of our address and is not told to bootstrap. */
  get votesRefused(): number {
    return this.#hosts.votesRefused;
  }

  get pongsCached(): number {
    return this.#pongs.size;
  }

  /** "ip:port" that it listens on. */
  get listenAddress(): string {
    return formatHostPort({ host: this.#options.listen.host, port: this.#acceptor.port });
  }

  /** Nothing can be routed. */
  get isBusAway(): boolean {
    return this.#bus.status !== 'connected';
  }

  get maxLeaves(): number {
    return this.#options.maxLeaves;
  }

  get maxUltrapeers(): number {
    return this.#options.maxUltrapeers;
  }

  get edgeId(): string {
    return this.#options.edgeId;
  }

  /** Waits for the node's facts, then takes part. @throws Error with a sentence where it cannot listen */
  async start(signal?: AbortSignal): Promise<void> {
    const facts = await this.view.start(signal);
    const { bus, edgeId, epoch } = this.#options;
    const map = new ShardMap(facts.shards, facts.shardMapVersion, facts.nodeSecret);
    const ingress = new Ingress({ bus, map, state: this.#state, edgeId, epoch });
    this.#ingress = ingress;
    const aboutUs: OwnPongOptions = {
      facts: () => this.view.facts ?? facts,
      ownAddress: (link) => this.#around.ownAddress(link.localIp),
      freeSlots: () => this.#around.freeSlots(),
      now: () => this.now(),
    };
    this.#context = {
      ...aboutUs,
      ownPong: new OwnPong(aboutUs),
      edgeId,
      links: this.links,
      reporter: this.#reporter,
      ingress,
      pongs: this.#pongs,
      hosts: this.#hosts,
      merged: this.#merged,
      halfPatches: this.halfPatches,
      queryFilter: this.queryFilter,
      counters: this.counters,
      allowPrivate: this.#options.allowPrivate,
      knownUltrapeers: (most, except) => this.#around.knownUltrapeers(most, except),
      linkedUltrapeers: () => this.#around.neighbours('ultrapeer'),
      random: Math.random,
    };
    this.#subscriptions.push(
      this.#bus.openReader(edgeEgress(edgeId), (batch) => this.#deliveries.onBatch(batch)),
      this.#bus.respond(edgeControl(edgeId), (request) => this.#onControl(request)),
    );
    this.#merged.start();
    this.handOver.start();
    await this.#acceptor.listen();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#publishSummary();
    this.#dialer.tick();
  }

  /** Takes no new peers and tells those there are to go elsewhere (BYE 200). */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#acceptor.close();
    this.#dialer.stop();
    this.#doorkeeper.stop();
    const all = [...this.links.all()];
    for (let i = 0; i < all.length; i += DRAIN_GROUP) {
      for (const link of all.slice(i, i + DRAIN_GROUP)) link.bye(200, 'Servent closing');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#whenEmpty();
  }

  stop(): void {
    this.#draining = true;
    clearInterval(this.#timer);
    this.#doorkeeper.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#acceptor.close();
    this.#dialer.stop();
    this.view.stop();
    this.#merged.stop();
    this.handOver.stop();
    this.flushes.stop();
    this.readTurns.stop();
    for (const link of [...this.links.all()]) link.destroy('the node stops');
    this.#ingress?.close();
    this.#state.close();
  }

  now(): number {
    return this.#clock.now();
  }

  /** Dials a peer. @returns why not, where it will not */
  connect(address: string): string | undefined {
    if (this.#draining) return 'the node is stopping';
    return this.#dialer.request(address);
  }

  /** How the dial of an address ends that `connect` took; undefined where the signal aborts before that. */
  whenDialled(address: string, signal: AbortSignal): Promise<DialEnd | undefined> {
    return this.#dialer.whenEnded(address, signal);
  }

  /**
   * Ends a link with BYE.
   * @param byeCode one of the codes in use (docs/protocol/02 §7); any other counts as 201
   * @returns whether there was such a link
   */
  disconnect(number: number, reason: string, byeCode: number = ByeCode.USER_REMOVED): boolean {
    const link = this.links.get(number);
    const code = Object.values(ByeCode).find((known) => known === byeCode) ?? ByeCode.USER_REMOVED;
    link?.bye(code, oneLine(reason) || 'User removed connection');
    return link !== undefined;
  }

  onFrame(link: PeerLink, bytes: Buffer, start: number, end: number): void {
    if (this.#context !== undefined) dispatchFrame(this.#context, link, bytes, start, end);
  }

  markDirty(link: PeerLink): void {
    this.flushes.mark(link);
  }

  onBye(link: PeerLink, code: number): void {
    this.links.ending(link);
    this.counters.byes.set(code, (this.counters.byes.get(code) ?? 0) + 1);
  }

  onClosed(link: PeerLink, reason: string): void {
    this.links.remove(link);
    this.#addresses.count(link, -1);
    this.#merged.remove(link);
    this.#pongs.forget(link);
    this.#reporter.forget(link);
    this.halfPatches.finished(link);
    this.queryFilter.forget(link);
    // Else the link's last words would find it gone.
    if (this.#ingress === undefined) this.#state.gone(link.number);
    else this.#ingress.whenTaken(() => this.#state.gone(link.number));
    this.counters.countClosed(link.counters, link.queue.dropped);
    this.#log.debug({ link: link.number, role: link.role, reason }, 'link closed');
    if (this.links.size === 0) this.#onEmpty();
  }

  #onControl(request: EdgeControlRequest): EdgeControlReply {
    if (request.replay !== undefined) {
      this.#state.replay();
      return { accepted: true, reason: '' };
    }
    if (request.kick !== undefined) {
      if (request.kick.epoch !== this.#options.epoch) return { accepted: false, reason: 'another epoch' };
      const found = this.disconnect(request.kick.link, request.kick.reason, request.kick.byeCode);
      return { accepted: found, reason: found ? '' : 'no such link' };
    }
    if (request.drain !== undefined) {
      void this.drain();
      return { accepted: true, reason: '' };
    }
    return { accepted: false, reason: 'unknown command' };
  }

  #tick(): void {
    this.#publishSummary();
    this.#hosts.flush();
    this.#merged.tick();
    this.#keepAlive.tick();
    if (this.#context !== undefined) expireResets(this.#context);
    this.#reporter.tick();
    if (!this.#draining) this.#dialer.tick();
  }

  /** Until every link is closed, or the time for that is up. */
  async #whenEmpty(): Promise<void> {
    if (this.links.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_WAIT_MS);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #publishSummary(): void {
    const leafAddresses: string[] = [];
    for (const leaf of this.links.leaves) {
      if (leafAddresses.length >= SUMMARY_LEAVES) break;
      if (leaf.listenAddress !== '') leafAddresses.push(leaf.listenAddress);
    }
    this.#state.flush();
    const own = this.#addresses.best({ host: this.#options.listen.host, port: this.#acceptor.port });
    this.#bus.publish(edgesSummary, {
      edgeId: this.#options.edgeId,
      epoch: this.#options.epoch,
      stateNumber: this.#state.number,
      leaves: this.links.leaves.size,
      ultrapeers: this.links.ultrapeers.size,
      maxLeaves: this.#options.maxLeaves,
      maxUltrapeers: this.#options.maxUltrapeers,
      ultrapeerAddresses: [...this.links.ultrapeers].flatMap((link) => link.listenAddress || []),
      leafAddresses,
      draining: this.#draining,
      listenPort: this.#acceptor.port,
      ownAddress: own.address,
      ownAddressSource: own.source,
      reached: this.#addresses.reached,
    });
  }

  #open(socket: Socket, outcome: Extract<HandshakeOutcome, { kind: 'connected' }>, how: Newcomer): void {
    const { peer, inflateIn, deflateOut, rest } = outcome;
    how.grant.keepOnly({ inflate: inflateIn, deflate: deflateOut });
    const context = this.#context;
    if (context === undefined || this.#draining) {
      how.grant.release();
      socket.destroy();
      return;
    }
    const link = new PeerLink({
      number: this.links.nextNumber(),
      role: peer.role === 'leaf' ? 'leaf' : 'ultrapeer',
      socket,
      peer,
      remoteIp: how.remoteIp,
      remotePort: how.remotePort,
      isLimited: this.#around.isLimited(how.remoteIp),
      listenAddress: how.address ?? this.#around.believedAddress(peer.listenAddress, how.remoteIp),
      outgoing: how.outgoing,
      inflateIn,
      deflateOut,
      compression: how.grant,
      host: this,
      connectedAtMs: this.#wallClock(),
    });
    this.links.add(link);
    this.#addresses.count(link, 1);
    if (peer.remoteIp !== undefined) this.#hosts.vote(link.remoteIp, peer.remoteIp);
    this.#state.upsert(link);
    if (link.isUltrapeer && !link.outgoing && link.listenAddress !== '') {
      this.#hosts.note(link.listenAddress, HostOutcome.HOST_OUTCOME_LEARNED, true);
    }
    this.#log.debug(
      { link: link.number, role: link.role, outgoing: link.outgoing, agent: peer.userAgent },
      'link opened',
    );
    greet(context, link);
    link.open(rest);
  }
}

/** An operator's words as they may stand in a BYE. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, MAX_REASON_CHARS);
}
