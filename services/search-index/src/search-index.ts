import { randomBytes } from 'node:crypto';
import {
  FactsFollower,
  InternalEdge,
  type InternalEdgeNumbers,
  libraryBrowse,
  libraryLookup,
  librarySummary,
  transfersSummary,
} from '@filbert/contracts';
import { randomMessageGuid } from '@filbert/gnutella';
import type { Bus, Clock, Logger, Subscription, TimerHandle, Timers } from '@filbert/kit';
import { browsePage, lookUp } from './browse/browse.ts';
import { Catalogue, openLibraryDatabase } from './catalogue/catalogue.ts';
import { Library } from './catalogue/library.ts';
import { HashPool } from './hash/hash-pool.ts';
import { NodeAddress } from './hits/node-address.ts';
import { LibraryLink } from './link/library-link.ts';
import { FolderWatcher, systemWatch } from './scan/folder-watcher.ts';
import { Scanner } from './scan/scanner.ts';
import { ShareFolders } from './scan/share-folders.ts';
import { systemFiles } from './scan/walker.ts';
import { NetworkSearches } from './search/network-searches.ts';

/** What the library holds is told on change and this often besides. */
const SUMMARY_INTERVAL_MS = 2_000;
/** A change waits this long for others before it is told. */
const SUMMARY_DEBOUNCE_MS = 100;
const BYTES_PER_KIB = 1024;
const MAX_U32 = 0xffffffff;

export interface SearchIndexOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly edgeId: string;
  /** New at each start (u32). */
  readonly epoch: number;
  readonly data: string;
  readonly share: readonly string[];
  readonly hashWorkers: number;
  readonly rescanIntervalMs: number;
  readonly allowPrivate: boolean;
  readonly onMatched: (seconds: number) => void;
}

/** What runs between start and stop. */
interface Parts {
  readonly catalogue: Catalogue;
  readonly library: Library;
  readonly shares: ShareFolders;
  readonly pool: HashPool;
  readonly watcher: FolderWatcher;
  readonly scanner: Scanner;
  readonly link: LibraryLink;
  readonly searches: NetworkSearches;
}

/** The node's library: scanned, hashed, matched and told of; and a person's searches of the network. */
export class SearchIndex {
  readonly #options: SearchIndexOptions;
  readonly #address: NodeAddress;
  readonly #facts: FactsFollower;
  readonly #edge: InternalEdge;
  readonly #subscriptions: Subscription[] = [];
  #parts: Parts | undefined;
  #summaryTimer: TimerHandle | undefined;
  #summaryDueMs = 0;
  #stopped = false;

  constructor(options: SearchIndexOptions) {
    const { bus, edgeId, epoch, clock } = options;
    this.#options = options;
    this.#address = new NodeAddress({ monotonic: () => clock.monotonic() });
    this.#facts = new FactsFollower({ bus, onFacts: (facts) => this.#address.setFacts(facts) });
    this.#edge = new InternalEdge({ bus, edgeId, epoch, facts: this.#facts });
  }

  /** Undefined before the start. */
  get parts(): Parts | undefined {
    return this.#parts;
  }

  /** What its edge of the router counted. */
  get edge(): InternalEdgeNumbers {
    return this.#edge.numbers;
  }

  /**
   * Opens the catalogue and serves what it knows as soon as the node's facts are there; looks and hashes go on meanwhile.
   * @throws Error with a sentence where the data folder cannot be used
   */
  async start(signal: AbortSignal): Promise<void> {
    const parts = this.#create();
    this.#parts = parts;
    const { logger, clock } = this.#options;
    const begunAt = clock.now();
    await parts.scanner.start();
    logger.info({ files: parts.library.size, ms: clock.now() - begunAt }, 'catalogue loaded');
    void parts.scanner.rescan().then(() => {
      if (this.#stopped) return;
      const { size, bytes } = parts.library;
      logger.info({ files: size, bytes, waiting: parts.pool.waiting, ms: clock.now() - begunAt }, 'share folders seen');
    });
    await this.#facts.start(signal);
    if (this.#stopped) return;
    this.#edge.start();
    parts.link.start();
    this.#answer(parts);
    parts.library.onChange(() => this.#tellSoon(SUMMARY_DEBOUNCE_MS));
    this.#tellSoon(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#options.timers.clearTimeout(this.#summaryTimer);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    const parts = this.#parts;
    parts?.link.stop();
    this.#edge.stop();
    this.#facts.stop();
    await parts?.scanner.stop();
    await parts?.pool.stop();
    parts?.catalogue.close();
  }

  #create(): Parts {
    const { logger, clock, timers, data, share, hashWorkers, rescanIntervalMs, allowPrivate } = this.#options;
    const fs = systemFiles;
    const catalogue = new Catalogue(openLibraryDatabase(data));
    const library = new Library({ catalogue, logger, now: () => clock.now() });
    const shares = new ShareFolders({ fs, configured: share, added: catalogue.shares(), dataFolder: data });
    const pool: HashPool = new HashPool({
      workers: hashWorkers,
      clock,
      timers,
      onHashed: (files) => scanner.hashed(files),
      onFailed: (path, reason, detail) => scanner.hashFailed(path, reason, detail),
      onIdle: () => scanner.hashingIdle(),
    });
    const watcher: FolderWatcher = new FolderWatcher({
      logger,
      watchFolder: systemWatch,
      onChange: (folder) => scanner.changed(folder),
    });
    const hash = pool.add.bind(pool);
    const scanner: Scanner = new Scanner({
      library,
      shares,
      watcher,
      fs,
      hash,
      clock,
      timers,
      logger,
      rescanIntervalMs,
    });
    const { onMatched } = this.#options;
    const link = new LibraryLink({
      edge: this.#edge,
      library,
      address: this.#address,
      logger,
      clock,
      timers,
      onMatched,
    });
    const searches = new NetworkSearches({
      edge: this.#edge,
      clock,
      timers,
      random: randomBytes,
      allowPrivate,
      ownServent: () => this.#facts.facts?.serventGuid,
    });
    return { catalogue, library, shares, pool, watcher, scanner, link, searches };
  }

  #answer({ library, shares }: Parts): void {
    const { bus } = this.#options;
    this.#subscriptions.push(
      bus.subscribe(transfersSummary, (summary) => this.#address.setTransfers(summary)),
      bus.respond(libraryLookup, (request) => lookUp(library, request, (path) => shares.folderOf(path))),
      bus.respond(libraryBrowse, (request) => {
        const source = this.#address.source();
        return source && browsePage(library, request.offset, source, randomMessageGuid(randomBytes));
      }),
    );
  }

  /** Tells bootstrap what the library holds, `delayMs` from now unless it is due sooner. */
  #tellSoon(delayMs: number): void {
    if (this.#stopped) return;
    const { timers, clock } = this.#options;
    const dueMs = clock.monotonic() + delayMs;
    if (this.#summaryTimer !== undefined && this.#summaryDueMs <= dueMs) return;
    timers.clearTimeout(this.#summaryTimer);
    this.#summaryDueMs = dueMs;
    this.#summaryTimer = timers.setTimeout(() => {
      this.#summaryTimer = undefined;
      this.#tell();
      this.#tellSoon(SUMMARY_INTERVAL_MS);
    }, delayMs);
  }

  #tell(): void {
    const { bus, edgeId } = this.#options;
    const { library } = this.#parts ?? {};
    if (library === undefined) return;
    const kib = Math.min(MAX_U32, Math.ceil(library.bytes / BYTES_PER_KIB));
    bus.publish(librarySummary, { edgeId, files: library.size, kib });
  }
}
