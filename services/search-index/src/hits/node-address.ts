import { ownAddressOf, reachableAddress, type NodeFacts, type TransfersSummary } from '@filbert/contracts';
import type { PeerAddress } from '@filbert/gnutella';

/** A worker that said nothing for this long has no slots any more. */
const WORKER_LOST_MS = 5_000;
/** Workers that are remembered. */
const MAX_WORKERS = 256;

/** What our hits say of the node. */
export interface HitSource {
  /** 16 bytes */
  readonly serventGuid: Uint8Array;
  /** Undefined while unknown: then the files can be had by PUSH only. */
  readonly address: PeerAddress | undefined;
  /** As far as is known nobody can connect to us. */
  readonly isFirewalled: boolean;
  /** No upload slot is free; undefined where nobody told. */
  readonly isBusy: boolean | undefined;
  readonly hasUploaded: boolean;
}

export interface NodeAddressOptions {
  /** A clock in ms that never goes back. */
  readonly monotonic: () => number;
}

/** Follows the facts and the transfers workers: where our files can be had. */
export class NodeAddress {
  readonly #options: NodeAddressOptions;
  readonly #workers = new Map<string, { readonly freeSlots: number; readonly at: number }>();
  #facts: NodeFacts | undefined;
  #hasUploaded = false;

  constructor(options: NodeAddressOptions) {
    this.#options = options;
  }

  get facts(): NodeFacts | undefined {
    return this.#facts;
  }

  setFacts(facts: NodeFacts): void {
    this.#facts = facts;
  }

  setTransfers(summary: TransfersSummary): void {
    if (summary.uploads > 0) this.#hasUploaded = true;
    if (!this.#workers.has(summary.workerId) && this.#workers.size >= MAX_WORKERS) return;
    this.#workers.set(summary.workerId, {
      freeSlots: summary.draining ? 0 : summary.freeSlots,
      at: this.#options.monotonic(),
    });
  }

  /** Undefined while the node's GUID is not known: a hit would help nobody. */
  source(): HitSource | undefined {
    const facts = this.#facts;
    if (facts?.serventGuid.length !== 16) return undefined;
    const address = reachableAddress(facts.transfersAddress) ?? ownAddressOf(facts);
    return {
      serventGuid: facts.serventGuid,
      address,
      isFirewalled: address === undefined || facts.firewalled,
      isBusy: this.#isBusy(),
      hasUploaded: this.#hasUploaded,
    };
  }

  #isBusy(): boolean | undefined {
    const oldest = this.#options.monotonic() - WORKER_LOST_MS;
    let free = 0;
    for (const [id, worker] of this.#workers) {
      if (worker.at < oldest) this.#workers.delete(id);
      else free += worker.freeSlots;
    }
    return this.#workers.size === 0 ? undefined : free === 0;
  }
}
