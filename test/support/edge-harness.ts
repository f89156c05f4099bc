import { connect, type Socket } from 'node:net';
import {
  EgressBatchBuilder,
  egressBytes,
  edgeControl,
  edgeEgress,
  edgesSummary,
  edgeState,
  forEachFrame,
  hostsSeen,
  nodeFactsRequest,
  routerIngress,
  type EdgeControlReply,
  type EdgeControlRequest,
  type EdgeSummary,
  type EgressBatch,
  type HostSeen,
  type NodeFacts,
  type StateBatch,
} from '@filbert/contracts';
import { createInProcessBus, createLogger, type Bus, type StreamWriter } from '@filbert/kit';
import { Edge, type EdgeOptions } from '../../services/connections/src/edge.ts';
import type { PeerLink } from '../../services/connections/src/link/peer-link.ts';
import { EDGE_ID, someFacts, type RoutedFrame } from './frame-bench.ts';
import { RawPeer, type RawConnectOptions } from './raw-peer.ts';
import { encodeFrame, type RawFrame } from './raw-wire.ts';
import { waitFor } from './wait-for.ts';

/** The epoch of every edge that the harness starts. */
export const EDGE_EPOCH = 77;

/** One edge on loopback with an in-process bus, and stand-ins for the rest of the node. */
export class EdgeHarness {
  readonly bus: Bus;
  readonly edge: Edge;
  /** Where the edge listens, or listened. */
  port = 0;
  /** Frames that the edge sent to the shard. */
  readonly routed: RoutedFrame[] = [];
  readonly state: StateBatch[] = [];
  readonly hosts: HostSeen[] = [];
  readonly summaries: EdgeSummary[] = [];
  /** The epoch that `deliver` and `verdict` name. */
  epoch = EDGE_EPOCH;
  #egress: StreamWriter<EgressBatch> | undefined;
  readonly #peers: RawPeer[] = [];
  readonly #sockets: Socket[] = [];

  private constructor(bus: Bus, edge: Edge) {
    this.bus = bus;
    this.edge = edge;
    bus.openReader(routerIngress(0), (batch) => {
      forEachFrame(batch, (bytes, start, end, link) =>
        this.routed.push({ bytes: Buffer.from(bytes.subarray(start, end)), link }),
      );
    });
    bus.subscribe(edgeState(EDGE_ID), (batch) => this.state.push(batch));
    bus.subscribe(hostsSeen, (seen) => this.hosts.push(...seen.hosts));
    bus.subscribe(edgesSummary, (summary) => this.summaries.push(summary));
  }

  /** Starts an edge. Peers on loopback are allowed unless said. */
  static async start(options: Partial<EdgeOptions> = {}, facts: Partial<NodeFacts> = {}): Promise<EdgeHarness> {
    const bus = options.bus ?? createInProcessBus();
    bus.respond(nodeFactsRequest, () => someFacts(facts));
    const edge = new Edge({
      bus,
      logger: createLogger({ level: 'silent', name: 'test' }),
      edgeId: EDGE_ID,
      epoch: EDGE_EPOCH,
      listen: { host: '127.0.0.1', port: 0 },
      reusePort: false,
      userAgent: 'Filbert/test',
      maxLeaves: 100,
      maxUltrapeers: 10,
      allowPrivate: true,
      deflateBudgetBytes: 64 * 2 ** 20,
      maxHandshakes: 64,
      ...options,
    });
    const harness = new EdgeHarness(bus, edge);
    await edge.start();
    harness.port = Number(edge.listenAddress.slice(edge.listenAddress.lastIndexOf(':') + 1));
    return harness;
  }

  /** Dials the edge, as a leaf unless said; a refusal resolves too. */
  async connect(options: Partial<RawConnectOptions> = {}): Promise<RawPeer> {
    const peer = await RawPeer.connect({ host: '127.0.0.1', port: this.port, role: 'leaf', ...options });
    this.#peers.push(peer);
    return peer;
  }

  /** As `connect`, with the edge's side of the link. @throws Error where the edge does not take it */
  async join(options: Partial<RawConnectOptions> = {}): Promise<{ peer: RawPeer; link: PeerLink }> {
    const peer = await this.connect(options);
    const link = await waitFor('the link', () => this.linkOf(peer));
    return { peer, link };
  }

  /** The edge's link to this peer. */
  linkOf(peer: RawPeer): PeerLink | undefined {
    const { port } = peer.local;
    for (const link of this.edge.links.all()) if (link.remotePort === port) return link;
    return undefined;
  }

  /** A bare connection to the edge's port. */
  async socket(): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port: this.port });
    socket.on('error', () => undefined);
    this.#sockets.push(socket);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return socket;
  }

  /** What the edge answers to `text` until it closes the connection. */
  async say(text: string | Uint8Array): Promise<string> {
    const socket = await this.socket();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(text);
    await closed;
    return Buffer.concat(chunks).toString('latin1');
  }

  /** Sends a frame to links as a shard would, with the TTL and hops of the frame. */
  deliver(frame: RawFrame, ...links: PeerLink[]): void {
    const builder = new EgressBatchBuilder();
    const bytes = encodeFrame(frame);
    for (const link of links) builder.send(1, bytes, 0, bytes.length, frame.ttl, frame.hops, link.number);
    this.#send(builder);
  }

  /** Reports what a shard found about a link. */
  verdict(link: PeerLink, duplicates: number, bad = 0, useful = 0): void {
    const builder = new EgressBatchBuilder();
    builder.verdict(link.number, duplicates, bad, useful);
    this.#send(builder);
  }

  control(request: Partial<EdgeControlRequest>): Promise<EdgeControlReply> {
    const whole: EdgeControlRequest = { replay: undefined, kick: undefined, drain: undefined, ...request };
    return this.bus.request(edgeControl(EDGE_ID), whole, { timeoutMs: 1_000 });
  }

  async stop(): Promise<void> {
    for (const peer of this.#peers) await peer.close();
    for (const socket of this.#sockets) socket.destroy();
    this.edge.stop();
    await this.bus.drain();
  }

  #send(builder: EgressBatchBuilder): void {
    const batch = builder.take();
    batch.edgeEpoch = this.epoch;
    this.#egress ??= this.bus.openWriter(edgeEgress(EDGE_ID), { epoch: 1 });
    this.#egress.send(batch, egressBytes(batch));
  }
}
