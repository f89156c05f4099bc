import { applyDifference, encodePatches, encodeReset, SlotSet } from '@filbert/gnutella';
import { mergedTable, mergedTableRequest, unpackUint32, type MergedTable } from '@filbert/contracts';
import type { Bus, Subscription } from '@filbert/kit';
import { OutClass } from '../link/out-queue.ts';
import type { PeerLink } from '../link/peer-link.ts';

/** An ultrapeer gets a new table at most this often, ms: two updates fit the 20 s that a change may take. */
export const UPDATE_INTERVAL_MS = 8_000;
const REQUEST_TIMEOUT_MS = 1_000;
/** Log2 of the largest merged table that is believed. */
const MAX_BITS = 20;

interface Sent {
  /** What the peer holds. */
  table: SlotSet | undefined;
  at: number;
}

/**
 * Follows the node's merged table and brings every ultrapeer's copy up to date with RESET and PATCH, as differences
 * against what was sent last (docs/protocol/05 §2 and §6).
 */
export class MergedFollower {
  readonly #bus: Bus;
  readonly #edgeId: string;
  readonly #now: () => number;
  readonly #sent = new Map<PeerLink, Sent>();
  #subscription: Subscription | undefined;
  #table: SlotSet | undefined;
  #epoch = 0;
  #number = 0;
  #asking = false;
  /** Patches that lead to the present table, for links that hold the same one. */
  #made = new Map<SlotSet | undefined, Buffer[]>();

  constructor(options: { readonly bus: Bus; readonly edgeId: string; readonly now: () => number }) {
    this.#bus = options.bus;
    this.#edgeId = options.edgeId;
    this.#now = options.now;
  }

  get table(): SlotSet | undefined {
    return this.#table;
  }

  start(): void {
    this.#subscription = this.#bus.subscribe(mergedTable, (change) => this.#follow(change));
    void this.#ask();
  }

  stop(): void {
    this.#subscription?.unsubscribe();
    this.#sent.clear();
  }

  /** A new ultrapeer that takes tables. */
  add(link: PeerLink): void {
    this.#sent.set(link, { table: undefined, at: Number.NEGATIVE_INFINITY });
    if (this.#table !== undefined) this.#update(link, this.#table);
  }

  remove(link: PeerLink): void {
    this.#sent.delete(link);
  }

  /** Sends what is due; call it about once a second. */
  tick(): void {
    if (this.#table === undefined) {
      void this.#ask();
      return;
    }
    this.#made.clear();
    for (const link of this.#sent.keys()) this.#update(link, this.#table);
    this.#made.clear();
  }

  #update(link: PeerLink, table: SlotSet): void {
    const sent = this.#sent.get(link);
    if (sent === undefined || sent.table === table) return;
    const now = this.#now();
    if (now - sent.at < UPDATE_INTERVAL_MS || link.blockedSince !== undefined) return;
    let frames = this.#made.get(sent.table);
    if (frames === undefined) {
      frames =
        sent.table?.bits === table.bits
          ? encodePatches(sent.table, table)
          : [encodeReset(table.bits), ...encodePatches(undefined, table)];
      this.#made.set(sent.table, frames);
    }
    for (const frame of frames) if (!link.send(OutClass.control, frame)) return;
    sent.table = table;
    sent.at = now;
  }

  #follow(change: MergedTable): void {
    if (change.bits > MAX_BITS) return;
    const inOrder = change.epoch === this.#epoch && change.number === this.#number + 1;
    if (!change.full && (!inOrder || this.#table === undefined)) {
      void this.#ask();
      return;
    }
    this.#apply(change);
  }

  #apply(change: MergedTable): void {
    // They lead to the table before this one.
    this.#made.clear();
    this.#table =
      change.bitmap.length > 0
        ? SlotSet.fromBitmap(change.bits, change.bitmap)
        : applyDifference(
            change.full ? undefined : this.#table,
            change.bits,
            unpackUint32(change.setSlots),
            unpackUint32(change.clearedSlots),
          );
    this.#epoch = change.epoch;
    this.#number = change.number;
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const whole = await this.#bus.request(
        mergedTableRequest,
        { edgeId: this.#edgeId },
        { timeoutMs: REQUEST_TIMEOUT_MS },
      );
      if (whole.full && whole.bits > 0 && whole.bits <= MAX_BITS) this.#apply(whole);
    } catch {
      // Nobody answers yet; the next tick or change asks again.
    } finally {
      this.#asking = false;
    }
  }
}
