import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  asGuid,
  classifyHost,
  Descriptor,
  FUNCTION_OFFSET,
  GUID_BYTES,
  isUsablePeerAddress,
  type Guid,
  type PeerAddress,
} from '@filbert/gnutella';
import {
  FactsFollower,
  InternalEdge,
  type InternalEdgeNumbers,
  LinkKind,
  ownAddressOf,
  reachableAddress,
  transfersSummary,
  type InternalLink,
} from '@filbert/contracts';
import { formatHostPort, randomEpoch, type Bus, type HostPort, type Logger } from '@filbert/kit';
import { TransfersCounters } from './counters.ts';
import { Downloads } from './download/downloads.ts';
import type { WriteAt } from './download/part-file.ts';
import { PushClient } from './download/push-client.ts';
import type { SourceFacts } from './download/source.ts';
import { DOWNLOAD_TIMINGS, type DownloadTimings } from './download/timings.ts';
import type { GivLine } from './giv/giv-line.ts';
import { relayGiv } from './giv/giv-relay.ts';
import { GivWaiters } from './giv/giv-waiters.ts';
import { PushUploads } from './giv/push-uploads.ts';
import { Bandwidth } from './http/bandwidth.ts';
import { Intake } from './http/intake.ts';
import { PushProxyServer } from './http/push-proxy.ts';
import { UploadServer } from './http/upload-server.ts';
import type { JobCounters, JobStore, OthersJob } from './jobs/job-store.ts';
import { busLibrary, type LibraryLookup } from './library.ts';
import type { Connection } from './network/connection.ts';
import { UploadSlots } from './slots/upload-slots.ts';

const SUMMARY_INTERVAL_MS = 1_000;
/** How long uploads under way may take to end with their range while draining, in ms. */
export const DRAIN_UPLOADS_MS = 10_000;
const DRAIN_POLL_MS = 50;

/** What a worker needs of its edge of the router. */
type EdgeOfPushes = Pick<InternalEdge, 'start' | 'stop' | 'openLink' | 'numbers'>;

export interface TransfersOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly workerId: string;
  /** Keeps the downloads. */
  readonly store: JobStore;
  readonly downloads: string;
  readonly shareFolders: readonly string[];
  /** Where files are served; undefined: only over the connections that edges hand over. */
  readonly listen: HostPort | undefined;
  /** Where edges of other processes hand connections over. */
  readonly internalListen: HostPort | undefined;
  readonly allowPrivate: boolean;
  readonly uploadSlots: number;
  readonly uploadsPerHost: number;
  /** bytes/s; 0: unlimited */
  readonly uploadRate: number;
  readonly downloadRate: number;
  /** Takes the link that PUSHes go over; by default an edge of its own on the bus. */
  readonly internalEdge?: EdgeOfPushes;
  /** By default the library over the bus. */
  readonly library?: LibraryLookup;
  readonly timings?: Partial<DownloadTimings>;
  readonly requestTimeoutMs?: number;
  readonly sendStallMs?: number;
  readonly pollMinS?: number;
  readonly writeAt?: WriteAt;
}

/** One transfers worker: uploads, PUSHes, downloads. */
export class Transfers {
  readonly counters = new TransfersCounters();
  readonly slots: UploadSlots;
  readonly uploads: UploadServer;
  readonly downloads: Downloads;
  readonly #options: TransfersOptions;
  readonly #intake: Intake;
  readonly #waiters: GivWaiters;
  readonly #pushUploads: PushUploads;
  readonly #facts: FactsFollower;
  readonly #edge: EdgeOfPushes;
  #publicAddress = '';
  #internalAddress = '';
  #link: InternalLink | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(options: TransfersOptions) {
    this.#options = options;
    const { bus, logger, allowPrivate, library = busLibrary(bus) } = options;
    const { counters } = this;
    const now = (): number => performance.now();
    // As everywhere: a closed network is not held to limits per address.
    const isLimited = (ip: string): boolean => !allowPrivate || classifyHost(ip) === 'public';
    this.slots = new UploadSlots({
      slots: options.uploadSlots,
      perHost: options.uploadsPerHost,
      now,
      newTicket: () => randomBytes(16).toString('hex'),
      ...(options.pollMinS === undefined ? {} : { pollMinS: options.pollMinS }),
    });
    this.uploads = new UploadServer({
      library,
      slots: this.slots,
      pushProxy: new PushProxyServer({
        bus,
        facts: () => this.#facts.facts,
        allowPrivate,
        isLimited,
        random: randomBytes,
        now,
      }),
      bandwidth: new Bandwidth(options.uploadRate),
      counters,
      shareFolders: options.shareFolders,
      isLimited,
      serventGuid: () => this.#serventGuid(),
      ownAddress: () => (this.#facts.facts?.firewalled === true ? undefined : this.#ownAddresses()[0]),
      wallClock: Date.now,
      now,
      ...(options.requestTimeoutMs === undefined ? {} : { requestTimeoutMs: options.requestTimeoutMs }),
      ...(options.sendStallMs === undefined ? {} : { sendStallMs: options.sendStallMs }),
    });
    this.#intake = new Intake({
      counters,
      isLimited,
      onHttp: (connection) => this.uploads.serve(connection, false),
      onGiv: (connection, line) => this.#onGiv(connection, line),
      ...(options.requestTimeoutMs === undefined ? {} : { sniffTimeoutMs: options.requestTimeoutMs }),
    });
    this.#facts = new FactsFollower({ bus });
    this.#edge =
      options.internalEdge ??
      new InternalEdge({ bus, edgeId: options.workerId, epoch: randomEpoch(), facts: this.#facts });
    this.#waiters = new GivWaiters({
      bus,
      reply: () => ({ workerId: options.workerId, internalAddress: this.#internalAddress }),
    });
    this.#pushUploads = new PushUploads({
      library,
      counters,
      serventGuid: () => this.#serventGuid(),
      ownAddresses: () => this.#ownAddresses(),
      allowPrivate,
      isLimited,
      serve: (connection) => this.#intake.serve(connection, () => this.uploads.serve(connection, true)),
      now,
    });
    this.downloads = new Downloads({
      folder: options.downloads,
      store: options.store,
      pushes: new PushClient({
        waiters: this.#waiters,
        counters,
        link: () => this.#link,
        ownAddress: () => this.#ownAddresses()[0],
        random: randomBytes,
        now,
      }),
      bandwidth: new Bandwidth(options.downloadRate),
      counters,
      timings: { ...DOWNLOAD_TIMINGS, ...options.timings },
      logger,
      ownAddress: () => this.#ownAddresses()[0],
      wallClock: Date.now,
      newId: () => randomBytes(8).toString('hex'),
      isUsableSource: (source) => this.isUsableSource(source),
      ...(options.writeAt === undefined ? {} : { writeAt: options.writeAt }),
    });
  }

  /** "ip:port" of its own HTTP port; empty where it has none. */
  get publicAddress(): string {
    return this.#publicAddress;
  }

  /** "ip:port" where edges hand connections over; empty where it has none. */
  get internalAddress(): string {
    return this.#internalAddress;
  }

  get jobs(): JobCounters {
    return this.#options.store.counters;
  }

  get connections(): number {
    return this.#intake.size;
  }

  /** What its edge of the router counted. */
  get edge(): InternalEdgeNumbers {
    return this.#edge.numbers;
  }

  get givsAwaited(): number {
    return this.#waiters.size;
  }

  /** What other workers have, as they noted it last. @throws what the store throws */
  othersDownloads(): Promise<readonly OthersJob[]> {
    return this.#options.store.others();
  }

  /** @throws Error with a sentence where an address is taken or the store cannot be read */
  async start(signal?: AbortSignal): Promise<void> {
    const { listen, internalListen, store } = this.#options;
    await store.open(signal);
    const { serventGuid } = await this.#facts.start(signal);
    this.#edge.start();
    this.#link = this.#edge.openLink(LinkKind.LINK_KIND_TRANSFERS, {
      serventGuid,
      onFrame: (bytes, start, end) => {
        if (bytes[start + FUNCTION_OFFSET] !== Descriptor.PUSH) return;
        // What follows outlives the call, the bytes do not.
        const frame = bytes.slice(start, end);
        void this.#pushUploads.onFrame(frame, 0, frame.length);
      },
    });
    if (listen !== undefined) {
      this.#publicAddress = formatHostPort(await this.#intake.listen(listen, { proxied: false }));
    }
    if (internalListen !== undefined) {
      this.#internalAddress = formatHostPort(await this.#intake.listen(internalListen, { proxied: true }));
    }
    await this.downloads.start();
    this.#publishSummary();
    this.#ticker = setInterval(() => this.#publishSummary(), SUMMARY_INTERVAL_MS);
  }

  /** Takes no more connections and lets uploads end with their present range, for a while. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#publishSummary();
    this.#intake.close();
    this.#pushUploads.stop();
    this.uploads.drain();
    this.downloads.drain();
    const deadline = performance.now() + DRAIN_UPLOADS_MS;
    while (this.uploads.uploads.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    this.#pushUploads.stop();
    this.#link?.close();
    this.#link = undefined;
    this.#edge.stop();
    this.#facts.stop();
    this.uploads.stop();
    this.#intake.destroy();
    await this.downloads.stop();
    await this.#options.store.close();
  }

  /**
   * Takes a connection that an edge of this process accepted, with what it has read of it. The caller must have taken its
   * own listeners off and hands over in the same turn.
   */
  handOver(socket: Socket, firstBytes: Buffer): void {
    if (this.#draining) socket.destroy();
    else void this.#intake.take(socket, firstBytes);
  }

  /** Whether this address may be a source: what peers name is judged as any address of theirs. */
  isUsableSource({ address, serventGuid }: SourceFacts): boolean {
    if (address === undefined) return serventGuid !== undefined;
    return isUsablePeerAddress(address, { allowPrivate: this.#options.allowPrivate });
  }

  async #onGiv(connection: Connection, line: GivLine): Promise<void> {
    const { givs } = this.counters;
    if (this.#waiters.offer(line.serventGuid, connection)) {
      givs.claimed++;
      return;
    }
    const { bus, workerId } = this.#options;
    if (await relayGiv(bus, workerId, connection, line, () => givs.relayed++)) return;
    givs.unrequested++;
    connection.destroy();
  }

  #serventGuid(): Guid | undefined {
    const guid = this.#facts.facts?.serventGuid;
    return guid?.length === GUID_BYTES ? asGuid(guid) : undefined;
  }

  /** Where peers can connect to us, the best first. */
  #ownAddresses(): PeerAddress[] {
    const { facts } = this.#facts;
    const own = [
      reachableAddress(facts?.transfersAddress ?? ''),
      ownAddressOf(facts),
      reachableAddress(this.#publicAddress),
    ];
    return own.filter((address) => address !== undefined);
  }

  #publishSummary(): void {
    this.#options.bus.publish(transfersSummary, {
      workerId: this.#options.workerId,
      internalAddress: this.#internalAddress,
      publicAddress: this.#publicAddress,
      uploads: this.uploads.uploads.size,
      freeSlots: this.slots.free,
      draining: this.#draining,
    });
  }
}
