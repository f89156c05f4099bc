import type { Socket } from 'node:net';
import {
  AcceptingHandshake,
  ByeCode,
  formatPeerAddress,
  InitiatingHandshake,
  isUsablePeerAddress,
  parsePeerAddress,
  refusalBlock,
  type Decision,
  type HandshakeOutcome,
  type LocalHandshake,
  type PeerAddress,
  type PeerCapabilities,
} from '@filbert/gnutella';
import {
  edgeControl,
  edgeEgress,
  edgesSummary,
  forEachDelivery,
  forEachVerdict,
  HostOutcome,
  Ingress,
  ShardMap,
  StateStream,
  type DeliverySink,
  type EdgeControlReply,
  type EdgeControlRequest,
  type EgressBatch,
} from '@filbert/contracts';
import { formatHostPort, type Bus, type HostPort, type Logger, type Subscription } from '@filbert/kit';
import { Acceptor, refuseHttp } from './acceptor.ts';
import { admit } from './admission/admission.ts';
import { CrawlerThrottle } from './admission/crawler-throttle.ts';
import { HandshakeThrottle } from './admission/handshake-throttle.ts';
import { EdgeCounters, type HandshakeResult } from './counters.ts';
import { Dialer } from './dialer.ts';
import { FlushScheduler } from './flush-scheduler.ts';
import { dispatchFrame } from './frames/dispatch.ts';
import type { EdgeContext } from './frames/edge-context.ts';
import { expireResets } from './frames/qrp.ts';
import { greet } from './frames/greeting.ts';
import { byeAfterHandshake, endGently, runHandshake } from './handshake-runner.ts';
import { HostReporter } from './host-reporter.ts';
import { KeepAlive } from './keep-alive.ts';
import { CompressionBudget, type CompressionGrant } from './link/compression-budget.ts';
import { LinkRegistry } from './link/link-registry.ts';
import { outClassOf } from './link/out-queue.ts';
import { PeerLink, type LinkHost, type LinkRole } from './link/peer-link.ts';
import { NodeView } from './node-view.ts';
import { PongCache } from './pongs/pong-cache.ts';
import { MergedFollower } from './tables/merged-follower.ts';

/** What peers see of us in handshakes: ultrapeers we aim at, and the TTL we take (docs/protocol/01 §4). */
const DEGREE = 32;
const MAX_TTL = 4;
const FEATURES = 'sflag/0.1';
/** Ultrapeers kept dialled, as a share of the slots: the rest is for those that come by themselves. */
const DIAL_SHARE = 0.75;
/** Hosts in X-Try-Ultrapeers. */
const MAX_TRY_HOSTS = 10;
/** Addresses of leaves in a summary: a sample for crawlers. */
const SUMMARY_LEAVES = 32;
/** Duplicates of one link that end it, beside their share of all its messages (docs/protocol/02 §15). */
const MIN_DUPLICATES = 5;
const MAX_DUPLICATE_SHARE = 0.015;
const TICK_MS = 1_000;
/** A leaf without a table, or with no use for queries, may make room for another after this time. */
const USELESS_AFTER_MS = 300_000;
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
  /** ms since 1970; the system's clock by default. */
  readonly wallClock?: () => number;
}

/** The edge: holds links, applies every rule that needs one link only, and moves frames between links and shards. */
export class Edge implements LinkHost, DeliverySink {
  readonly counters = new EdgeCounters();
  readonly links = new LinkRegistry();
  readonly budget: CompressionBudget;
  readonly flushes: FlushScheduler;
  readonly userAgent: string;
  readonly startedAtMs: number;
  readonly view: NodeView;
  readonly #options: EdgeOptions;
  readonly #wallClock: () => number;
  readonly #bus: Bus;
  readonly #log: Logger;
  readonly #state: StateStream;
  readonly #pongs: PongCache;
  readonly #hosts: HostReporter;
  readonly #merged: MergedFollower;
  readonly #throttle: HandshakeThrottle;
  readonly #crawlers: CrawlerThrottle;
  readonly #dialer: Dialer;
  readonly #acceptor: Acceptor;
  readonly #keepAlive: KeepAlive;
  readonly #subscriptions: Subscription[] = [];
  /** Sockets in their handshake. */
  readonly #handshaking = new Set<Socket>();
  #ingress: Ingress | undefined;
  #context: EdgeContext | undefined;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #onEmpty: () => void = () => undefined;
  /** One reading of the clock for all that happens in one event-loop turn. */
  #now = performance.now();
  #nowFresh = false;
  readonly #forgetNow = (): void => {
    this.#nowFresh = false;
  };

  constructor(options: EdgeOptions) {
    this.#options = options;
    this.#bus = options.bus;
    this.#log = options.logger;
    this.userAgent = options.userAgent;
    this.#wallClock = options.wallClock ?? Date.now;
    this.startedAtMs = this.#wallClock();
    const now = (): number => this.now();
    const { bus, edgeId, epoch, allowPrivate } = options;
    this.budget = new CompressionBudget(options.deflateBudgetBytes);
    this.flushes = new FlushScheduler(now);
    this.#state = new StateStream({ bus, edgeId, epoch, links: () => this.links.all() });
    this.#pongs = new PongCache(now, Math.random);
    this.#hosts = new HostReporter({ bus, edgeId, allowPrivate });
    this.#merged = new MergedFollower({ bus, edgeId, now });
    this.#throttle = new HandshakeThrottle(now);
    this.#crawlers = new CrawlerThrottle(now);
    this.#keepAlive = new KeepAlive({ links: this.links, pongs: this.#pongs, now, random: Math.random });
    this.view = new NodeView({
      bus,
      edgeId,
      now,
      onPoll: () => this.#publishSummary(),
    });
    this.#dialer = new Dialer({
      bus,
      edgeId,
      allowPrivate,
      wanted: () => this.#ultrapeersWanted(),
      isTaken: (address) => this.#isTaken(address),
      onConnected: (socket, address, done) => this.#initiate(socket, address, done),
      onUnreachable: (address) => {
        this.counters.dialsFailed++;
        this.#hosts.note(address, HostOutcome.HOST_OUTCOME_UNREACHABLE, true);
      },
    });
    this.#acceptor = new Acceptor({
      listen: options.listen,
      reusePort: options.reusePort,
      ...(options.handshakeTimeoutMs !== undefined && { handshakeTimeoutMs: options.handshakeTimeoutMs }),
      admit: (_socket, remoteIp) => this.#mayConnect(remoteIp),
      onGnutella: (socket, remoteIp, first, leftMs) => this.#accept(socket, remoteIp, first, leftMs),
      onHttp: (socket) => {
        this.counters.refused['not-gnutella']++;
        refuseHttp(socket);
      },
      onForeign: () => {
        this.counters.refused['not-gnutella']++;
      },
    });
  }

  get handshaking(): number {
    return this.#handshaking.size + this.#acceptor.waiting;
  }

  get ingress(): Ingress | undefined {
    return this.#ingress;
  }

  get hostsRefused(): number {
    return this.#hosts.refused;
  }

  get pongsCached(): number {
    return this.#pongs.size;
  }

  /** "ip:port" that it listens on. */
  get listenAddress(): string {
    return formatHostPort({ host: this.#options.listen.host, port: this.#acceptor.port });
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
    this.#context = {
      links: this.links,
      state: this.#state,
      ingress,
      pongs: this.#pongs,
      hosts: this.#hosts,
      merged: this.#merged,
      counters: this.counters,
      allowPrivate: this.#options.allowPrivate,
      facts: () => this.view.facts ?? facts,
      ownAddress: (link) => this.#ownAddress(link.localIp),
      knownUltrapeers: (most, except) => this.#knownUltrapeers(most, except),
      linkedUltrapeers: () => this.#neighbours('ultrapeer'),
      freeSlots: () => this.#freeSlots(),
      now: () => this.now(),
      random: Math.random,
    };
    this.#subscriptions.push(
      this.#bus.openReader(edgeEgress(edgeId), (batch) => this.#onEgress(batch)),
      this.#bus.respond(edgeControl(edgeId), (request) => this.#onControl(request)),
    );
    this.#merged.start();
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
    for (const socket of this.#handshaking) socket.destroy();
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
    for (const socket of this.#handshaking) socket.destroy();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#acceptor.close();
    this.#dialer.stop();
    this.view.stop();
    this.#merged.stop();
    this.flushes.stop();
    for (const link of [...this.links.all()]) link.destroy('the node stops');
    this.#ingress?.close();
    this.#state.close();
  }

  now(): number {
    if (!this.#nowFresh) {
      this.#now = performance.now();
      this.#nowFresh = true;
      setImmediate(this.#forgetNow);
    }
    return this.#now;
  }

  /** Dials a peer. @returns why not, where it will not */
  connect(address: string): string | undefined {
    if (this.#draining) return 'the node is stopping';
    return this.#dialer.request(address);
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
    this.#merged.remove(link);
    this.#pongs.forget(link);
    this.#state.gone(link.number);
    this.counters.linksClosed++;
    const { closedLinks } = this.counters;
    closedLinks.bytesIn += link.counters.bytesIn;
    closedLinks.bytesOut += link.counters.bytesOut;
    closedLinks.messagesIn += link.counters.messagesIn;
    closedLinks.messagesOut += link.counters.messagesOut;
    link.queue.dropped.forEach((dropped, kind) => {
      closedLinks.dropped += dropped;
      closedLinks.droppedByClass[kind] = (closedLinks.droppedByClass[kind] ?? 0) + dropped;
    });
    this.#log.debug({ link: link.number, role: link.role, reason }, 'link closed');
    if (this.links.size === 0) this.#onEmpty();
  }

  deliver(bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, number: number): void {
    const link = this.links.get(number);
    if (link === undefined) {
      this.counters.deliveriesUnknownLink++;
    } else if (link.relay(outClassOf(bytes[start + 16] as number), bytes, start, end, ttl, hops)) {
      this.counters.deliveries++;
    } else {
      this.counters.deliveriesQueueFull++;
    }
  }

  #onEgress(batch: EgressBatch): void {
    if (batch.edgeEpoch !== this.#options.epoch) {
      this.counters.deliveriesOldEpoch += batch.links.length >>> 2;
      return;
    }
    forEachDelivery(batch, this);
    if (batch.verdicts.length > 0) {
      forEachVerdict(batch, (number, duplicates, bad, useful) => this.#judge(number, duplicates, bad, useful));
    }
  }

  #judge(number: number, duplicates: number, bad: number, useful: number): void {
    const link = this.links.get(number);
    if (link === undefined) return;
    const { counters } = link;
    counters.duplicates += duplicates;
    counters.bad += bad;
    counters.useful += useful;
    if (
      duplicates > 0 &&
      counters.duplicates >= MIN_DUPLICATES &&
      counters.duplicates > counters.messagesIn * MAX_DUPLICATE_SHARE
    ) {
      link.bye(401, 'Too many duplicate messages');
    }
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
    });
  }

  /** Links of all edges together, with those on their way into this one. */
  #taken(role: LinkRole): number {
    const others = this.view.otherLinks();
    return this.links.taken(role) + (role === 'leaf' ? others.leaves : others.ultrapeers);
  }

  #freeSlots(): { readonly leaves: number; readonly ultrapeers: number } {
    return {
      leaves: Math.max(0, this.#options.maxLeaves - this.#taken('leaf')),
      ultrapeers: Math.max(0, this.#options.maxUltrapeers - this.#taken('ultrapeer')),
    };
  }

  #ultrapeersWanted(): number {
    return Math.ceil(this.#options.maxUltrapeers * DIAL_SHARE) - this.#taken('ultrapeer');
  }

  /** Whether rules about addresses and networks apply to this address; private ones are exempt where they are allowed. */
  #isLimited(ip: string): boolean {
    const { isExempt } = this.#options;
    if (isExempt !== undefined) return !isExempt(ip);
    return !(this.#options.allowPrivate && !isUsablePeerAddress({ host: ip, port: 6346 }));
  }

  #mayConnect(remoteIp: string): boolean {
    this.counters.accepted++;
    if (this.#draining) {
      this.counters.refused.draining++;
      return false;
    }
    if (this.handshaking >= this.#options.maxHandshakes) {
      this.counters.refused['too-many-handshakes']++;
      return false;
    }
    if (!isUsablePeerAddress({ host: remoteIp, port: 6346 }, this.#options)) {
      this.counters.refused['private-address']++;
      return false;
    }
    return true;
  }

  #accept(socket: Socket, remoteIp: string, first: Buffer, timeoutMs: number): void {
    if (this.#isLimited(remoteIp)) {
      const verdict = this.#throttle.begin(remoteIp);
      if (verdict.kind !== 'welcome') {
        this.counters.refused.throttled++;
        if (verdict.kind === 'told') {
          socket.write(refusalBlock(429, verdict.reason, { userAgent: this.userAgent, remoteIp }));
          endGently(socket);
        } else {
          socket.destroy();
        }
        return;
      }
    }
    const grant = this.budget.grant();
    let release = (): void => undefined;
    const machine = new AcceptingHandshake({
      local: this.#local(grant, socket),
      remoteIp,
      decide: (peer) => {
        const decision = this.#decide(peer, remoteIp);
        if (decision.accept) release = this.links.reserve(peer.role === 'leaf' ? 'leaf' : 'ultrapeer');
        return decision;
      },
      decideFinal: (peer) => {
        release();
        const decision = this.#decide(peer, remoteIp);
        if (decision.accept) release = this.links.reserve(peer.role === 'leaf' ? 'leaf' : 'ultrapeer');
        return decision;
      },
      decideCrawler: () => {
        if (this.#isLimited(remoteIp) && !this.#crawlers.mayCrawl(remoteIp)) {
          return { accept: false, code: 403, reason: 'Too frequent crawling' };
        }
        return { accept: true, peers: this.#neighbours('ultrapeer'), leaves: this.#neighbours('leaf') };
      },
    });
    this.#handshaking.add(socket);
    runHandshake({
      socket,
      machine,
      first,
      timeoutMs,
      farewell: (outcome) => byeAfterHandshake(outcome, this.userAgent),
      done: (outcome) => {
        this.#handshaking.delete(socket);
        release();
        this.counters.incoming[resultOf(outcome)]++;
        if (outcome.kind !== 'connected') {
          grant.release();
          return;
        }
        const remotePort = socket.remotePort ?? 0;
        this.#open(socket, outcome, { remoteIp, remotePort, address: undefined, grant, outgoing: false });
      },
    });
  }

  #initiate(socket: Socket, address: string, free: () => void): void {
    this.counters.dials++;
    const remote = parsePeerAddress(address) as PeerAddress;
    const grant = this.budget.grant();
    const release = this.links.reserve('ultrapeer');
    const machine = new InitiatingHandshake({
      local: this.#local(grant, socket),
      remoteIp: remote.host,
      decide: (peer) => {
        if (peer.role !== 'ultrapeer') return { accept: false, code: 503, reason: 'Not an ultrapeer' };
        if (peer.guid !== undefined && this.links.hasGuid(Buffer.from(peer.guid).toString('hex'))) {
          return { accept: false, code: 409, reason: 'Already connected to this GUID' };
        }
        return { accept: true };
      },
    });
    this.#handshaking.add(socket);
    runHandshake({
      socket,
      machine,
      opening: machine.start(),
      done: (outcome) => {
        this.#handshaking.delete(socket);
        release();
        free();
        this.counters.outgoing[resultOf(outcome)]++;
        this.#noteOutcome(address, outcome);
        if (outcome.kind !== 'connected') {
          grant.release();
          return;
        }
        this.#open(socket, outcome, {
          remoteIp: remote.host,
          remotePort: remote.port,
          address,
          grant,
          outgoing: true,
        });
      },
    });
  }

  #noteOutcome(address: string, outcome: Parameters<Parameters<typeof runHandshake>[0]['done']>[0]): void {
    switch (outcome.kind) {
      case 'connected':
        for (const host of outcome.peer.tryUltrapeers) this.#hosts.note(host, HostOutcome.HOST_OUTCOME_LEARNED, true);
        return this.#hosts.note(address, HostOutcome.HOST_OUTCOME_CONNECTED, true);
      case 'refused':
        for (const host of outcome.tryUltrapeers) this.#hosts.note(host, HostOutcome.HOST_OUTCOME_LEARNED, true);
        return this.#hosts.note(address, HostOutcome.HOST_OUTCOME_REFUSED, true);
      case 'lost':
        return this.#hosts.note(address, HostOutcome.HOST_OUTCOME_UNREACHABLE, true);
      case 'crawler':
      case 'failed':
        return this.#hosts.note(address, HostOutcome.HOST_OUTCOME_INCOMPATIBLE, true);
    }
  }

  #decide(peer: PeerCapabilities, remoteIp: string): Decision {
    const limited = this.#isLimited(remoteIp);
    const decision = admit(peer, {
      draining: this.#draining,
      leaves: this.#taken('leaf'),
      maxLeaves: this.#options.maxLeaves,
      ultrapeers: this.#taken('ultrapeer'),
      maxUltrapeers: this.#options.maxUltrapeers,
      hasAddress: (address) => this.links.hasAddress(address) || this.view.heldElsewhere(address),
      hasGuid: (guid) => this.links.hasGuid(guid) || guid === this.#ownGuid(),
      fromSameAddress: limited ? this.links.fromAddress(remoteIp) : 0,
      fromSameNetwork: limited ? this.links.fromNetwork(remoteIp) : 0,
      evictLeaf: () => this.#evict('leaf'),
      evictUltrapeer: () => this.#evict('ultrapeer'),
    });
    if (decision.accept) return decision;
    return { ...decision, tryUltrapeers: this.#knownUltrapeers(MAX_TRY_HOSTS, peer.listenAddress ?? '') };
  }

  /** Our own servent GUID, hex: whoever shows it is ourselves. */
  #ownGuid(): string {
    return Buffer.from(this.view.facts?.serventGuid ?? []).toString('hex');
  }

  /** Ends a link that has been of no use for long. */
  #evict(role: LinkRole): boolean {
    const oldest = this.#wallClock() - USELESS_AFTER_MS;
    for (const link of role === 'leaf' ? this.links.leaves : this.links.ultrapeers) {
      if (link.connectedAtMs > oldest || link.ended) continue;
      const useless =
        role === 'leaf' ? link.table === undefined || link.hopsFlow === 0 : link.counters.messagesIn === 0;
      if (!useless) continue;
      link.bye(202, 'Making room for a more useful connection');
      return true;
    }
    return false;
  }

  #local(grant: CompressionGrant, socket: Socket): LocalHandshake {
    const own = this.#ownAddress(socket.localAddress ?? '');
    const facts = this.view.facts;
    return {
      userAgent: this.userAgent,
      role: 'ultrapeer',
      ...(own === undefined ? {} : { listenAddress: formatPeerAddress(own) }),
      ...(facts === undefined ? {} : { guid: facts.serventGuid, liveSince: new Date(facts.startedAtMs) }),
      degree: Math.max(16, Math.min(DEGREE, this.#options.maxUltrapeers)),
      maxTtl: MAX_TTL,
      acceptDeflate: grant.inflate,
      offerDeflate: grant.deflate,
      features: FEATURES,
    };
  }

  #open(
    socket: Socket,
    outcome: Extract<HandshakeOutcome, { kind: 'connected' }>,
    how: {
      readonly remoteIp: string;
      readonly remotePort: number;
      readonly address: string | undefined;
      readonly grant: CompressionGrant;
      readonly outgoing: boolean;
    },
  ): void {
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
      listenAddress: this.#believedAddress(peer, how),
      outgoing: how.outgoing,
      inflateIn,
      deflateOut,
      compression: how.grant,
      host: this,
      connectedAtMs: this.#wallClock(),
    });
    this.links.add(link);
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

  /** Where the peer listens: where we reached it, else what it says if that is its own address. */
  #believedAddress(
    peer: PeerCapabilities,
    how: { readonly address: string | undefined; readonly remoteIp: string },
  ): string {
    if (how.address !== undefined) return how.address;
    const said = peer.listenAddress === undefined ? undefined : parsePeerAddress(peer.listenAddress);
    if (said === undefined || !isUsablePeerAddress(said, this.#options)) return '';
    // In a closed network, among containers for one, source addresses may be translated.
    return said.host === how.remoteIp || !this.#isLimited(how.remoteIp) ? formatPeerAddress(said) : '';
  }

  /** The node's address as a peer should know it: the advertised one, else the one that the peer reached. */
  #ownAddress(localAddress: string): PeerAddress | undefined {
    const advertised = parsePeerAddress(this.view.facts?.advertisedAddress ?? '');
    if (advertised !== undefined) return advertised;
    const local = localAddress.startsWith('::ffff:') ? localAddress.slice('::ffff:'.length) : localAddress;
    return parsePeerAddress(
      local.includes(':') ? `[${local}]:${this.#acceptor.port}` : `${local}:${this.#acceptor.port}`,
    );
  }

  #isTaken(address: string): boolean {
    return this.links.hasAddress(address) || this.view.heldElsewhere(address) || address === this.listenAddress;
  }

  /** Where the neighbours of the whole node listen; of leaves that other edges hold a sample. */
  #neighbours(role: LinkRole): string[] {
    const addresses = new Set(addressesOf(role === 'leaf' ? this.links.leaves : this.links.ultrapeers));
    for (const summary of this.view.others()) {
      const theirs = role === 'leaf' ? summary.leafAddresses : summary.ultrapeerAddresses;
      for (const address of theirs) addresses.add(address);
    }
    return [...addresses];
  }

  /** Connected ultrapeers first, then those heard of in pongs, then bootstrap's. */
  #knownUltrapeers(most: number, except: string): string[] {
    const hosts = new Set<string>();
    for (const link of this.links.ultrapeers) if (link.listenAddress !== '') hosts.add(link.listenAddress);
    for (const summary of this.view.others()) for (const address of summary.ultrapeerAddresses) hosts.add(address);
    for (const address of this.#pongs.recentUltrapeers) hosts.add(address);
    for (const address of this.view.facts?.hosts ?? []) hosts.add(address);
    hosts.delete(except);
    hosts.delete(this.listenAddress);
    return [...hosts].slice(0, most);
  }
}

/** An operator's words as they may stand in a BYE. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, MAX_REASON_CHARS);
}

function addressesOf(links: Iterable<PeerLink>): string[] {
  return [...links].flatMap((link) => link.listenAddress || []);
}

function resultOf(outcome: { readonly kind: string; readonly by?: 'us' | 'peer' }): HandshakeResult {
  switch (outcome.kind) {
    case 'connected':
    case 'crawler':
    case 'failed':
      return outcome.kind;
    case 'refused':
      return outcome.by === 'peer' ? 'refused-by-peer' : 'refused';
    default:
      return 'lost';
  }
}
