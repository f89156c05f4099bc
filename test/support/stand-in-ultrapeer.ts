import { RawPeer } from './raw-peer.ts';
import type { RawPeerServer } from './raw-peer-server.ts';
import { encodeFrame, queryText, RAW_DESCRIPTOR, type RawFrame } from './raw-wire.ts';

/** How long the stand-in listens at most for the next peer or frame. */
const IDLE_TIMEOUT_MS = 120_000;

/** What the stand-in does wrong on purpose, to each n-th delivery. */
export interface StandInFaults {
  dropEvery?: number;
  duplicateEvery?: number;
  /** Sends it to another leaf as well. */
  misdirectEvery?: number;
}

/**
 * The least that a load generator or a raw peer can be tried on: it takes leaves and their tables, answers PINGs, and
 * hands each query to the other leaves whose tables hold every word of at least 3 bytes. No rule of a real node else.
 */
export class StandInUltrapeer {
  readonly #server: RawPeerServer<RawPeer>;
  readonly #peers = new Set<RawPeer>();
  /** What it does wrong from now on. */
  faults: StandInFaults;
  /** Texts of the queries received, in order. */
  readonly texts: string[] = [];
  /** Queries handed to leaves. */
  deliveries = 0;

  private constructor(server: RawPeerServer<RawPeer>, faults: StandInFaults) {
    this.#server = server;
    this.faults = faults;
  }

  /** Starts one; port 0 takes a free one. */
  static async start(faults: StandInFaults = {}, host = '127.0.0.1', port = 0): Promise<StandInUltrapeer> {
    const server = await RawPeer.listen({ role: 'ultrapeer', host, port });
    const standIn = new StandInUltrapeer(server, faults);
    void standIn.#acceptAll();
    return standIn;
  }

  get port(): number {
    return this.#server.port;
  }

  /** The links open now. */
  get links(): number {
    return this.#peers.size;
  }

  /** Ends every link and stops listening. */
  async close(): Promise<void> {
    await this.#server.close();
  }

  async #acceptAll(): Promise<void> {
    try {
      for (;;) void this.#serve(await this.#server.accept(IDLE_TIMEOUT_MS));
    } catch {
      // Nobody came any more.
    }
  }

  async #serve(peer: RawPeer): Promise<void> {
    this.#peers.add(peer);
    try {
      for (;;) {
        const frame = await peer.next(() => true, IDLE_TIMEOUT_MS);
        if (frame.descriptor === RAW_DESCRIPTOR.query) this.#route(frame, peer);
      }
    } catch {
      // The link ended, which is how every one ends here.
    } finally {
      this.#peers.delete(peer);
    }
  }

  #route(query: RawFrame, from: RawPeer): void {
    const text = queryText(query.payload);
    this.texts.push(text);
    const words = text.split(' ').filter((word) => Buffer.byteLength(word) >= 3);
    const bytes = encodeFrame({ ...query, ttl: 1, hops: query.hops + 1 });
    const leaves = [...this.#peers].filter((peer) => peer !== from && peer.table.completed > 0);
    for (const leaf of leaves) {
      if (words.length === 0 || !words.every((word) => leaf.table.has(word))) continue;
      this.deliveries++;
      if (this.#isNth(this.faults.dropEvery)) continue;
      leaf.send(bytes);
      if (this.#isNth(this.faults.duplicateEvery)) leaf.send(bytes);
      if (this.#isNth(this.faults.misdirectEvery)) leaves.find((other) => other !== leaf)?.send(bytes);
    }
  }

  #isNth(every: number | undefined): boolean {
    return every !== undefined && this.deliveries % every === 0;
  }
}
