import type { Socket } from 'node:net';
import {
  AcceptingHandshake,
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
import { HostOutcome } from '@filbert/contracts';
import { admit, tooManyUltrapeers } from './admission/admission.ts';
import { CrawlerThrottle } from './admission/crawler-throttle.ts';
import { HandshakeThrottle } from './admission/handshake-throttle.ts';
import type { EdgeCounters, HandshakeDurations, HandshakeResult } from './counters.ts';
import { byeAfterHandshake, endGently, runHandshake } from './handshake-runner.ts';
import type { HostReporter } from './host-reporter.ts';
import type { CompressionBudget, CompressionGrant } from './link/compression-budget.ts';
import type { LinkRegistry } from './link/link-registry.ts';
import type { LinkRole } from './link/peer-link.ts';
import type { NodeView } from './node-view.ts';
import type { Surroundings } from './surroundings.ts';

/** What peers see of us in handshakes: ultrapeers we aim at, and the TTL we take (docs/protocol/01 §4). */
const DEGREE = 32;
const MAX_TTL = 4;
const FEATURES = 'sflag/0.1';
/** Hosts in X-Try-Ultrapeers. */
const MAX_TRY_HOSTS = 10;
/** A leaf without a table, or with no use for queries, may make room for another after this time (docs/protocol/01 §5). */
const USELESS_LEAF_AFTER_MS = 300_000;
/** Likewise an ultrapeer that said nothing. */
const USELESS_ULTRAPEER_AFTER_MS = 600_000;

/** A peer whose handshake succeeded. */
export interface Newcomer {
  readonly remoteIp: string;
  readonly remotePort: number;
  /** Where we reached it; undefined where it came to us. */
  readonly address: string | undefined;
  readonly grant: CompressionGrant;
  readonly outgoing: boolean;
}

export interface DoorkeeperOptions {
  readonly links: LinkRegistry;
  readonly view: NodeView;
  readonly around: Surroundings;
  readonly hosts: HostReporter;
  readonly budget: CompressionBudget;
  readonly counters: EdgeCounters;
  readonly userAgent: string;
  readonly maxLeaves: number;
  readonly maxUltrapeers: number;
  readonly allowPrivate: boolean;
  readonly maxHandshakes: number;
  /** Connections that have not said yet what they speak: they count as handshakes. */
  readonly waiting: () => number;
  readonly isDraining: () => boolean;
  /** ms, monotonic */
  readonly now: () => number;
  /** ms since 1970 */
  readonly wallClock: () => number;
  readonly onOpen: (
    socket: Socket,
    outcome: Extract<HandshakeOutcome, { kind: 'connected' }>,
    newcomer: Newcomer,
  ) => void;
}

/** Decides who becomes a neighbour, and runs the handshakes of both directions (docs/protocol/01). */
export class Doorkeeper {
  readonly #options: DoorkeeperOptions;
  readonly #links: LinkRegistry;
  readonly #view: NodeView;
  readonly #around: Surroundings;
  readonly #counters: EdgeCounters;
  readonly #throttle: HandshakeThrottle;
  readonly #crawlers: CrawlerThrottle;
  /** Sockets in their handshake. */
  readonly #handshaking = new Set<Socket>();

  constructor(options: DoorkeeperOptions) {
    this.#options = options;
    this.#links = options.links;
    this.#view = options.view;
    this.#around = options.around;
    this.#counters = options.counters;
    this.#throttle = new HandshakeThrottle(options.now);
    this.#crawlers = new CrawlerThrottle(options.now);
  }

  get handshaking(): number {
    return this.#handshaking.size;
  }

  /** Ends all handshakes under way. */
  stop(): void {
    for (const socket of this.#handshaking) socket.destroy();
  }

  /** Whether to take an incoming connection at all; it has not said anything yet. */
  mayConnect(remoteIp: string): boolean {
    this.#counters.accepted++;
    if (this.#options.isDraining()) {
      this.#counters.refused.draining++;
      return false;
    }
    if (this.handshaking + this.#options.waiting() >= this.#options.maxHandshakes) {
      this.#counters.refused['too-many-handshakes']++;
      return false;
    }
    if (!isUsablePeerAddress({ host: remoteIp, port: 6346 }, this.#options)) {
      this.#counters.refused['private-address']++;
      return false;
    }
    return true;
  }

  /** Shakes hands with a peer that connected and said `first`. */
  accept(socket: Socket, remoteIp: string, first: Buffer, timeoutMs: number): void {
    if (this.#around.isLimited(remoteIp)) {
      const verdict = this.#throttle.begin(remoteIp);
      if (verdict.kind !== 'welcome') {
        this.#counters.refused.throttled++;
        if (verdict.kind === 'told') {
          socket.write(refusalBlock(429, verdict.reason, { userAgent: this.#options.userAgent, remoteIp }));
          endGently(socket);
        } else {
          socket.destroy();
        }
        return;
      }
    }
    const grant = this.#options.budget.grant();
    let release = (): void => undefined;
    const machine = new AcceptingHandshake({
      local: this.#local(grant, socket),
      remoteIp,
      decide: (peer) => {
        const decision = this.#decide(peer, remoteIp);
        if (decision.accept) release = this.#links.reserve(peer.role === 'leaf' ? 'leaf' : 'ultrapeer');
        return decision;
      },
      decideFinal: (peer) => {
        release();
        const decision = this.#decide(peer, remoteIp);
        if (decision.accept) release = this.#links.reserve(peer.role === 'leaf' ? 'leaf' : 'ultrapeer');
        return decision;
      },
      decideCrawler: () => {
        if (this.#around.isLimited(remoteIp) && !this.#crawlers.mayCrawl(remoteIp)) {
          return { accept: false, code: 403, reason: 'Too frequent crawling' };
        }
        return { accept: true, peers: this.#around.neighbours('ultrapeer'), leaves: this.#around.neighbours('leaf') };
      },
    });
    this.#handshaking.add(socket);
    const begunMs = this.#options.now();
    runHandshake({
      socket,
      machine,
      first,
      timeoutMs,
      farewell: (outcome) => byeAfterHandshake(outcome, this.#options.userAgent),
      done: (outcome) => {
        this.#handshaking.delete(socket);
        release();
        this.#counters.incoming[resultOf(outcome)]++;
        this.#noteDuration(this.#counters.incomingTook, outcome, begunMs);
        if (outcome.kind !== 'connected') {
          grant.release();
          return;
        }
        const remotePort = socket.remotePort ?? 0;
        this.#options.onOpen(socket, outcome, { remoteIp, remotePort, address: undefined, grant, outgoing: false });
      },
    });
  }

  /** Shakes hands with a peer that we dialled; `done` is called when that is over, with what was in the way of a link. */
  initiate(socket: Socket, address: string, done: (problem: string | undefined) => void): void {
    this.#counters.dials++;
    const remote = parsePeerAddress(address) as PeerAddress;
    const grant = this.#options.budget.grant();
    const release = this.#links.reserve('ultrapeer');
    let full = false;
    const machine = new InitiatingHandshake({
      local: this.#local(grant, socket),
      remoteIp: remote.host,
      decide: (peer) => {
        if (peer.role !== 'ultrapeer') return { accept: false, code: 503, reason: 'Not an ultrapeer' };
        if (peer.guid !== undefined && this.#links.hasGuid(Buffer.from(peer.guid).toString('hex'))) {
          return { accept: false, code: 409, reason: 'Already connected to this GUID' };
        }
        // Others may have come since we dialled; our own slot is counted.
        full = this.#around.taken('ultrapeer') > this.#options.maxUltrapeers;
        return full ? tooManyUltrapeers(this.#options.maxUltrapeers) : { accept: true };
      },
    });
    this.#handshaking.add(socket);
    const begunMs = this.#options.now();
    runHandshake({
      socket,
      machine,
      opening: machine.start(),
      done: (outcome) => {
        this.#handshaking.delete(socket);
        release();
        done(problemOf(outcome));
        this.#counters.outgoing[resultOf(outcome)]++;
        this.#noteDuration(this.#counters.outgoingTook, outcome, begunMs);
        // That there was no room for it does not speak against the host.
        if (!full) this.#noteOutcome(address, outcome);
        if (outcome.kind !== 'connected') {
          grant.release();
          return;
        }
        this.#options.onOpen(socket, outcome, {
          remoteIp: remote.host,
          remotePort: remote.port,
          address,
          grant,
          outgoing: true,
        });
      },
    });
  }

  #noteDuration(took: HandshakeDurations, outcome: { readonly kind: string }, begunMs: number): void {
    const durations = outcome.kind === 'connected' ? took.connected : took.other;
    durations.observe((this.#options.now() - begunMs) / 1_000);
  }

  #noteOutcome(address: string, outcome: Parameters<Parameters<typeof runHandshake>[0]['done']>[0]): void {
    switch (outcome.kind) {
      case 'connected':
        for (const host of outcome.peer.tryUltrapeers)
          this.#options.hosts.note(host, HostOutcome.HOST_OUTCOME_LEARNED, true);
        return this.#options.hosts.note(address, HostOutcome.HOST_OUTCOME_CONNECTED, true);
      case 'refused':
        for (const host of outcome.tryUltrapeers)
          this.#options.hosts.note(host, HostOutcome.HOST_OUTCOME_LEARNED, true);
        return this.#options.hosts.note(address, HostOutcome.HOST_OUTCOME_REFUSED, true);
      case 'lost':
        return this.#options.hosts.note(address, HostOutcome.HOST_OUTCOME_UNREACHABLE, true);
      case 'crawler':
      case 'failed':
        return this.#options.hosts.note(address, HostOutcome.HOST_OUTCOME_INCOMPATIBLE, true);
    }
  }

  #decide(peer: PeerCapabilities, remoteIp: string): Decision {
    const limited = this.#around.isLimited(remoteIp);
    const decision = admit(peer, {
      draining: this.#options.isDraining(),
      leaves: this.#around.taken('leaf'),
      maxLeaves: this.#options.maxLeaves,
      ultrapeers: this.#around.taken('ultrapeer'),
      maxUltrapeers: this.#options.maxUltrapeers,
      hasAddress: (address) => this.#links.hasAddress(address) || this.#view.heldElsewhere(address),
      hasGuid: (guid) => this.#links.hasGuid(guid) || guid === this.#around.ownGuid(),
      fromSameAddress: limited ? this.#links.fromAddress(remoteIp) : 0,
      fromSameNetwork: limited ? this.#links.fromNetwork(remoteIp) : 0,
      evictLeaf: () => this.#evict('leaf'),
      evictUltrapeer: () => this.#evict('ultrapeer'),
    });
    if (decision.accept) return decision;
    return { ...decision, tryUltrapeers: this.#around.knownUltrapeers(MAX_TRY_HOSTS, peer.listenAddress ?? '') };
  }

  /** Ends a link that has been of no use for long. */
  #evict(role: LinkRole): boolean {
    const graceMs = role === 'leaf' ? USELESS_LEAF_AFTER_MS : USELESS_ULTRAPEER_AFTER_MS;
    const oldest = this.#options.wallClock() - graceMs;
    for (const link of role === 'leaf' ? this.#links.leaves : this.#links.ultrapeers) {
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
    const own = this.#around.ownAddress(socket.localAddress ?? '');
    const facts = this.#view.facts;
    return {
      userAgent: this.#options.userAgent,
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
}

/** Why a dial led to no link, for people; a peer's own words are a part of it. */
function problemOf(outcome: HandshakeOutcome | { readonly kind: 'lost'; readonly reason: string }): string | undefined {
  switch (outcome.kind) {
    case 'connected':
      return undefined;
    case 'refused':
      return `${outcome.by === 'peer' ? 'it refused' : 'refused here'}: ${outcome.code} ${outcome.reason}`;
    case 'crawler':
      return 'it is a crawler';
    case 'failed':
      return `its handshake cannot be used (${outcome.reason.replaceAll('-', ' ')})`;
    case 'lost':
      return `no handshake: ${outcome.reason}`;
  }
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
