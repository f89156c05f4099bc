import { classifyHost } from '@filbert/gnutella';
import { librarySummary, transfersSummary, type LibrarySummary, type TransfersSummary } from '@filbert/contracts';
import { formatHostPort, parseHostPort, type Bus, type HostPort, type Subscription } from '@filbert/kit';

/** A library part or a worker that said nothing for this long is no longer counted. */
const SUMMARY_LIFETIME_MS = 15_000;
/** Library parts and workers that are counted. */
export const MAX_SUMMARIES = 256;
const MAX_U32 = 0xffff_ffff;

/** What search-index and transfers tell of themselves, added up for the facts. */
export class ServiceSummaries {
  /** Summaries of those beyond `MAX_SUMMARIES`. */
  readonly refused = { library: 0, transfers: 0 };
  readonly #bus: Bus;
  readonly #now: () => number;
  readonly #onChange: () => void;
  readonly #libraries = new Map<string, { readonly summary: LibrarySummary; readonly at: number }>();
  readonly #workers = new Map<string, { readonly summary: TransfersSummary; readonly at: number }>();
  readonly #subscriptions: Subscription[] = [];

  constructor(options: { readonly bus: Bus; readonly now: () => number; readonly onChange: () => void }) {
    this.#bus = options.bus;
    this.#now = options.now;
    this.#onChange = options.onChange;
  }

  start(): void {
    this.#subscriptions.push(
      this.#bus.subscribe(librarySummary, (summary) => {
        const before = this.shared();
        if (!this.#note(this.#libraries, summary.edgeId, summary)) this.refused.library++;
        const { files, kib } = this.shared();
        if (files !== before.files || kib !== before.kib) this.#onChange();
      }),
      this.#bus.subscribe(transfersSummary, (summary) => {
        const known = this.#workers.get(summary.workerId)?.summary;
        if (!this.#note(this.#workers, summary.workerId, summary)) this.refused.transfers++;
        if (known?.publicAddress !== summary.publicAddress || known.draining !== summary.draining) this.#onChange();
      }),
    );
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** How many of each are counted. */
  get alive(): { readonly libraries: number; readonly workers: number } {
    return { libraries: [...this.#alive(this.#libraries)].length, workers: [...this.#alive(this.#workers)].length };
  }

  /** Files and KiB of all parts of the library. */
  shared(): { readonly files: number; readonly kib: number } {
    let files = 0;
    let kib = 0;
    for (const summary of this.#alive(this.#libraries)) {
      files += summary.files;
      kib += summary.kib;
    }
    return { files: Math.min(files, MAX_U32), kib: Math.min(kib, MAX_U32) };
  }

  /**
   * Where peers reach a worker's own port, "ip:port"; empty where none has one that can be told.
   * @param own what peers are told of the node: its host stands in for a wildcard
   */
  transfersAddress(own: HostPort | undefined): string {
    for (const summary of this.#alive(this.#workers)) {
      const address = parseHostPort(summary.publicAddress);
      if (address === undefined || summary.draining) continue;
      if (classifyHost(address.host) !== 'bogon') return formatHostPort(address);
      if (own !== undefined) return formatHostPort({ host: own.host, port: address.port });
    }
    return '';
  }

  /** @returns false where there is no room for it */
  #note<T>(known: Map<string, { readonly summary: T; readonly at: number }>, id: string, summary: T): boolean {
    known.delete(id);
    if (known.size >= MAX_SUMMARIES) return false;
    known.set(id, { summary, at: this.#now() });
    return true;
  }

  *#alive<T>(known: Map<string, { readonly summary: T; readonly at: number }>): Generator<T> {
    const oldest = this.#now() - SUMMARY_LIFETIME_MS;
    for (const [id, { summary, at }] of known) {
      if (at < oldest) known.delete(id);
      else yield summary;
    }
  }
}
