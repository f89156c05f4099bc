import { connect, createServer, type Socket } from 'node:net';
import { HandshakeHeaders, readCapabilities, type PeerCapabilities } from '@filbert/gnutella';
import {
  edgeState,
  forEachFrame,
  hostsSeen,
  routerIngress,
  ShardMap,
  type HostSeen,
  type NodeFacts,
  type StateBatch,
} from '@filbert/contracts';
import { createInProcessBus } from '@filbert/kit';
import { EdgeCounters } from '../../services/connections/src/counters.ts';
import { dispatchFrame } from '../../services/connections/src/frames/dispatch.ts';
import type { EdgeContext } from '../../services/connections/src/frames/edge-context.ts';
import { HalfPatches } from '../../services/connections/src/frames/half-patches.ts';
import { QueryFilter } from '../../services/connections/src/frames/query-filter.ts';
import { HostReporter } from '../../services/connections/src/host-reporter.ts';
import { Ingress, StateStream } from '@filbert/contracts';
import { CompressionBudget } from '../../services/connections/src/link/compression-budget.ts';
import { LinkRegistry } from '../../services/connections/src/link/link-registry.ts';
import { LinkReporter } from '../../services/connections/src/link/link-reporter.ts';
import { PeerLink, type LinkHost, type LinkRole } from '../../services/connections/src/link/peer-link.ts';
import { ReadTurns } from '../../services/connections/src/link/read-turns.ts';
import { OwnPong, type OwnPongOptions } from '../../services/connections/src/pongs/own-pong.ts';
import { PongCache } from '../../services/connections/src/pongs/pong-cache.ts';
import { MergedFollower } from '../../services/connections/src/tables/merged-follower.ts';
import { FakeClock } from './fake-clock.ts';
import { RawFrameLog } from './raw-frame-log.ts';
import { roleHeaders, type HeaderChanges } from './raw-handshake.ts';
import { encodeFrame, randomGuid, type RawFrame } from './raw-wire.ts';

/** The name of every edge that these stand-ins make. */
export const EDGE_ID = 'edge-t';

/** Facts of a node that shares nothing and has one shard. */
export function someFacts(changes: Partial<NodeFacts> = {}): NodeFacts {
  return {
    version: 1,
    serventGuid: Buffer.from('5e0102030405060708090a0b0c0d0e00', 'hex'),
    nodeSecret: new Uint8Array(16),
    shards: 1,
    shardMapVersion: 1,
    advertisedAddress: '',
    transfersAddress: '',
    sharedFiles: 0,
    sharedKib: 0,
    hosts: [],
    startedAtMs: 1_700_000_000_000,
    learnedAddress: '',
    learnedFrom: 0,
    firewalled: false,
    ...changes,
  };
}

/** What a peer of this role says of itself in its handshake. */
export function peerOf(role: LinkRole, changes: HeaderChanges = {}): PeerCapabilities {
  const headers = { ...roleHeaders(role, randomGuid(), '127.0.0.1', false), ...changes };
  const entries = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== null);
  return readCapabilities(new HandshakeHeaders(entries));
}

/** Two ends of one connection over loopback. */
export async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const far = connect({ host: '127.0.0.1', port });
  const near = await accepted;
  server.close();
  return { near, far };
}

/** Lets everything that is due in this turn of the event loop and the next happen. */
export async function turns(count = 2): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** How a test wants a link. */
export interface BenchLinkOptions {
  readonly headers?: HeaderChanges;
  readonly remoteIp?: string;
  readonly listenAddress?: string;
  readonly outgoing?: boolean;
  readonly inflateIn?: boolean;
  readonly deflateOut?: boolean;
  /** Flush at the end of the turn, instead of leaving what waits in the queue for `sent` to look at. */
  readonly flushes?: boolean;
}

/** A frame that reached the shard. */
export interface RoutedFrame {
  readonly bytes: Buffer;
  readonly link: number;
}

/**
 * What the handlers of frames work with, on a clock that stands still: links over loopback sockets whose queues can be
 * looked into, the frames that went to the shard, the state records, and the BYEs.
 */
export class FrameBench implements LinkHost {
  readonly userAgent = 'Filbert/test';
  readonly clock = new FakeClock();
  readonly bus = createInProcessBus();
  readonly links = new LinkRegistry();
  readonly counters = new EdgeCounters();
  readonly halfPatches: HalfPatches;
  readonly queryFilter = new QueryFilter();
  readonly context: EdgeContext;
  readonly routed: RoutedFrame[] = [];
  readonly state: StateBatch[] = [];
  readonly hosts: HostSeen[] = [];
  /** Codes of BYEs, by link number. */
  readonly byes = new Map<number, number>();
  readonly closed = new Map<number, string>();
  readonly budget = new CompressionBudget(2 ** 30);
  /** Share of the credit towards the shard that is in use. */
  pressure = 0;
  readonly readTurns = new ReadTurns(() => this.pressure);
  readonly allowPrivate: boolean;
  ultrapeers: string[] = [];
  /** Told of every link that has something to send. */
  onDirty: (link: PeerLink) => void = () => undefined;
  free = { leaves: 10, ultrapeers: 10 };
  facts = someFacts();
  readonly #reporter: HostReporter;
  readonly #state: StateStream;
  readonly #sockets: Socket[] = [];
  readonly #flushing = new Set<PeerLink>();

  constructor(options: { readonly allowPrivate?: boolean; readonly maxHalfPatchBytes?: number } = {}) {
    this.allowPrivate = options.allowPrivate ?? true;
    this.halfPatches = new HalfPatches(options.maxHalfPatchBytes);
    const { bus } = this;
    const now = (): number => this.clock.monotonic();
    // Time zero would make "long ago" negative.
    this.clock.advance(1_000_000);
    const stream = new StateStream({ bus, edgeId: EDGE_ID, epoch: 7, links: () => this.links.all() });
    this.#state = stream;
    const map = new ShardMap(1, 1, new Uint8Array(16));
    this.#reporter = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: this.allowPrivate });
    const aboutUs: OwnPongOptions = {
      facts: () => this.facts,
      ownAddress: () => ({ host: '127.0.0.1', port: 6346 }),
      freeSlots: () => this.free,
      now,
    };
    this.context = {
      ...aboutUs,
      ownPong: new OwnPong(aboutUs),
      edgeId: EDGE_ID,
      links: this.links,
      reporter: new LinkReporter({ state: stream, now }),
      ingress: new Ingress({ bus, map, state: stream, edgeId: EDGE_ID, epoch: 7 }),
      pongs: new PongCache(now, () => 0),
      hosts: this.#reporter,
      merged: new MergedFollower({ bus, edgeId: EDGE_ID, now }),
      halfPatches: this.halfPatches,
      queryFilter: this.queryFilter,
      counters: this.counters,
      allowPrivate: this.allowPrivate,
      linkedUltrapeers: () => [...this.links.ultrapeers].flatMap(({ listenAddress }) => listenAddress || []),
      knownUltrapeers: (most, except) => this.ultrapeers.filter((address) => address !== except).slice(0, most),
      random: () => 0,
    };
    bus.openReader(routerIngress(0), (batch) => {
      forEachFrame(batch, (bytes, start, end, link) =>
        this.routed.push({ bytes: Buffer.from(bytes.subarray(start, end)), link }),
      );
    });
    bus.subscribe(edgeState(EDGE_ID), (batch) => this.state.push(batch));
    bus.subscribe(hostsSeen, (seen) => this.hosts.push(...seen.hosts));
  }

  now(): number {
    return this.clock.monotonic();
  }

  onFrame(link: PeerLink, bytes: Buffer, start: number, end: number): void {
    dispatchFrame(this.context, link, bytes, start, end);
  }

  onClosed(link: PeerLink, reason: string): void {
    this.links.remove(link);
    this.halfPatches.finished(link);
    this.queryFilter.forget(link);
    this.closed.set(link.number, reason);
  }

  onBye(link: PeerLink, code: number): void {
    this.byes.set(link.number, code);
  }

  markDirty(link: PeerLink): void {
    this.onDirty(link);
    if (!this.#flushing.has(link)) return;
    link.dirty = true;
    setImmediate(() => {
      link.dirty = false;
      link.flush();
    });
  }

  /** A link of this role, and the peer's end of its socket. */
  async add(role: LinkRole, options: BenchLinkOptions = {}): Promise<{ link: PeerLink; far: Socket }> {
    const { near, far } = await socketPair();
    this.#sockets.push(near, far);
    far.on('error', () => undefined);
    const { inflateIn = false, deflateOut = false } = options;
    const link = new PeerLink({
      number: this.links.nextNumber(),
      role,
      socket: near,
      peer: peerOf(role, options.headers),
      remoteIp: options.remoteIp ?? '127.0.0.1',
      remotePort: near.remotePort ?? 0,
      isLimited: !this.allowPrivate,
      listenAddress: options.listenAddress ?? '',
      outgoing: options.outgoing ?? false,
      inflateIn,
      deflateOut,
      compression: this.budget.grant(),
      host: this,
      connectedAtMs: this.clock.now(),
    });
    if (options.flushes === true) this.#flushing.add(link);
    this.links.add(link);
    link.open(new Uint8Array(0));
    return { link, far };
  }

  /** Hands a message of the peer to the handlers, as the link's splitter would. */
  receive(link: PeerLink, frame: Partial<RawFrame> & { readonly descriptor: number }): RawFrame {
    const whole = { guid: randomGuid(), ttl: 1, hops: 0, payload: Buffer.alloc(0), ...frame };
    const bytes = encodeFrame(whole);
    link.frame(bytes, 0, bytes.length);
    return whole;
  }

  /** Takes what waits for the peer. */
  sent(link: PeerLink): RawFrame[] {
    const bytes = link.queue.take(2 ** 20);
    return bytes === undefined ? [] : new RawFrameLog().feed(bytes);
  }

  /** The frames that reached the shard since the last call. */
  async takeRouted(): Promise<RoutedFrame[]> {
    await turns();
    return this.routed.splice(0);
  }

  /** The hosts told to bootstrap since the last call. */
  async takeHosts(): Promise<HostSeen[]> {
    this.#reporter.flush();
    await turns();
    return this.hosts.splice(0);
  }

  /** The records told to the shards since the last call. */
  async takeRecords(): Promise<StateBatch['records']> {
    this.#state.flush();
    await turns();
    return this.state.splice(0).flatMap((batch) => batch.records);
  }

  async stop(): Promise<void> {
    this.readTurns.stop();
    for (const socket of this.#sockets) socket.destroy();
    await this.bus.drain();
  }
}
