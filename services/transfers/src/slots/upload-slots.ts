import { parqRetrySeconds } from './queue-headers.ts';
import type { Queueing, QueuePlace } from './queue-place.ts';

/** Hosts that may wait for a slot; further ones are told to come back later. */
export const MAX_QUEUED = 1_000;
/** A connection keeps its slot this long between two requests (docs/protocol/08-push-and-transfers.md §5), in ms. */
export const SLOT_HOLD_MS = 15_000;
/** A connection that had its slot for this long gives it up when others wait, in ms. */
export const FAIR_SHARE_MS = 15 * 60_000;
/** A place in the queue is kept this long after the time at which its owner should have come back, in ms (§6). */
const PLACE_GRACE_MS = 300_000;
/** Clocks of peers may run this much fast, in ms. */
const EARLY_SLACK_MS = 2_000;
/** Passive clients are told at most this (§6), in seconds. */
const MAX_PASSIVE_RETRY_S = 250;
const BUSY_RETRY_S = 60;

export interface SlotRequest {
  /** Identity of the connection. */
  readonly connection: object;
  readonly ip: string;
  /** False for addresses that the limits per address do not apply to. */
  readonly limited: boolean;
  readonly fileKey: string;
  readonly queueing: Queueing;
  /** PARQ: the ID that the client was given. */
  readonly ticket: string | undefined;
}

export const SLOT_REFUSALS = ['too-early', 'host-limit', 'same-file', 'queue-full'] as const;
export type SlotRefusal = (typeof SLOT_REFUSALS)[number];

/**
 * How a place in the queue ends: its owner got a slot, came too early, did not come in time, or was known by a connection
 * that ended.
 */
export const PLACE_ENDS = ['served', 'too-early', 'expired', 'closed'] as const;

export type SlotAnswer =
  | { readonly kind: 'granted' }
  | { readonly kind: 'queued'; readonly place: QueuePlace }
  | { readonly kind: 'refused'; readonly reason: SlotRefusal; readonly retryAfterS: number };

export interface UploadSlotsOptions {
  readonly slots: number;
  readonly perHost: number;
  /** ms, never goes back */
  readonly now: () => number;
  /** A fresh PARQ ID of 32 hex digits. */
  readonly newTicket: () => string;
  /** X-Queue 0.1: between which two times a waiting client asks again, in seconds (conformance row 193). */
  readonly pollMinS?: number;
  readonly pollMaxS?: number;
}

interface Slot {
  readonly ip: string;
  readonly sinceMs: number;
  fileKey: string;
  busy: boolean;
  heldUntilMs: number;
}

interface Place {
  readonly ip: string;
  readonly fileKey: string;
  readonly ticket: string;
  queueing: Queueing;
  connection: object | undefined;
  notBeforeMs: number;
  expiresAtMs: number;
}

/**
 * Who may upload now, and who is next. First come, first served: a free slot goes to a client only if those before it are
 * served too (docs/protocol/08-push-and-transfers.md §6 at the level of positions and polling; no QUEUE call-backs).
 */
export class UploadSlots {
  readonly placesEnded: Record<(typeof PLACE_ENDS)[number], number> = {
    served: 0,
    'too-early': 0,
    expired: 0,
    closed: 0,
  };
  readonly #options: UploadSlotsOptions;
  readonly #pollMinS: number;
  readonly #pollMaxS: number;
  readonly #slots = new Map<object, Slot>();
  #queue: Place[] = [];

  constructor(options: UploadSlotsOptions) {
    this.#options = options;
    this.#pollMinS = options.pollMinS ?? 45;
    this.#pollMaxS = options.pollMaxS ?? 120;
  }

  get total(): number {
    return this.#options.slots;
  }

  get free(): number {
    this.#expire();
    return Math.max(0, this.#options.slots - this.#slots.size);
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Asks for a slot for the next response on a connection. Granted ones are given back by `done` or `closed`. */
  ask(request: SlotRequest): SlotAnswer {
    const now = this.#options.now();
    this.#expire();
    const own = this.#slots.get(request.connection);
    if (own !== undefined) {
      if (this.#queue.length === 0 || now - own.sinceMs < FAIR_SHARE_MS) {
        own.fileKey = request.fileKey;
        own.busy = true;
        return { kind: 'granted' };
      }
      this.#slots.delete(request.connection);
    }
    const refusal = request.limited ? this.#hostRefusal(request) : undefined;
    if (refusal !== undefined) return { kind: 'refused', reason: refusal, retryAfterS: BUSY_RETRY_S };
    return this.#serveOrQueue(request, now);
  }

  /** The response has been sent; the connection keeps its slot for a moment. */
  done(connection: object): void {
    const slot = this.#slots.get(connection);
    if (slot === undefined) return;
    slot.busy = false;
    slot.heldUntilMs = this.#options.now() + SLOT_HOLD_MS;
  }

  /** The connection has ended. Who waits by polling on it loses the place. */
  closed(connection: object): void {
    this.#slots.delete(connection);
    this.#keepPlaces('closed', (place) => place.connection !== connection || place.queueing !== 'legacy');
  }

  #hostRefusal(request: SlotRequest): SlotRefusal | undefined {
    let used = 0;
    for (const slot of this.#slots.values()) {
      if (slot.ip !== request.ip) continue;
      if (slot.busy && slot.fileKey === request.fileKey) return 'same-file';
      used++;
    }
    const { perHost } = this.#options;
    if (used >= perHost) return 'host-limit';
    const waiting = this.#queue.filter((place) => place.ip === request.ip && !isOf(place, request)).length;
    return used + waiting >= perHost ? 'host-limit' : undefined;
  }

  #serveOrQueue(request: SlotRequest, now: number): SlotAnswer {
    const known = this.#queue.findIndex((place) => isOf(place, request));
    const place = this.#queue[known];
    if (place !== undefined && now < place.notBeforeMs - EARLY_SLACK_MS) {
      // Coming too early costs the place, else everybody would poll all the time (§6).
      this.#queue.splice(known, 1);
      this.placesEnded['too-early']++;
      return { kind: 'refused', reason: 'too-early', retryAfterS: BUSY_RETRY_S };
    }
    const rank = place === undefined ? this.#queue.length : known;
    if (this.#options.slots - this.#slots.size > rank) {
      if (place !== undefined) {
        this.#queue.splice(known, 1);
        this.placesEnded.served++;
      }
      const { ip, fileKey } = request;
      this.#slots.set(request.connection, { ip, fileKey, sinceMs: now, busy: true, heldUntilMs: 0 });
      return { kind: 'granted' };
    }
    if (place === undefined && this.#queue.length >= MAX_QUEUED) {
      return { kind: 'refused', reason: 'queue-full', retryAfterS: 600 };
    }
    return { kind: 'queued', place: this.#wait(request, place, rank + 1, now) };
  }

  #wait(request: SlotRequest, known: Place | undefined, position: number, now: number): QueuePlace {
    const place = known ?? {
      ip: request.ip,
      fileKey: request.fileKey,
      ticket: this.#options.newTicket(),
      queueing: request.queueing,
      connection: undefined,
      notBeforeMs: 0,
      expiresAtMs: 0,
    };
    if (known === undefined) this.#queue.push(place);
    place.queueing = request.queueing;
    place.connection = request.connection;
    const retryS = parqRetrySeconds(position);
    const retryAfterS =
      request.queueing === 'legacy'
        ? this.#pollMinS
        : request.queueing === 'parq'
          ? retryS
          : Math.min(retryS, MAX_PASSIVE_RETRY_S);
    place.notBeforeMs = now + retryAfterS * 1_000;
    const lateS = request.queueing === 'legacy' ? this.#pollMaxS : retryAfterS;
    place.expiresAtMs = now + lateS * 1_000 + PLACE_GRACE_MS;
    return {
      queueing: request.queueing,
      position,
      length: this.#queue.length,
      limit: this.#options.slots,
      ticket: place.ticket,
      retryAfterS,
      pollMinS: this.#pollMinS,
      pollMaxS: this.#pollMaxS,
      lifetimeS: retryAfterS + PLACE_GRACE_MS / 1_000,
    };
  }

  #expire(): void {
    const now = this.#options.now();
    for (const [connection, slot] of this.#slots) {
      if (!slot.busy && slot.heldUntilMs <= now) this.#slots.delete(connection);
    }
    this.#keepPlaces('expired', (place) => place.expiresAtMs > now);
  }

  /** Takes the places away that do not stay. */
  #keepPlaces(reason: 'expired' | 'closed', stays: (place: Place) => boolean): void {
    // Nearly always all do.
    if (this.#queue.every(stays)) return;
    const before = this.#queue.length;
    this.#queue = this.#queue.filter(stays);
    this.placesEnded[reason] += before - this.#queue.length;
  }
}

/** A ticket is a reservation for any file, but only of the address it was given to; others are known by address and file. */
function isOf(place: Place, request: SlotRequest): boolean {
  if (place.ip !== request.ip) return false;
  if (request.ticket !== undefined && place.ticket === request.ticket) return true;
  return place.fileKey === request.fileKey && (place.connection === request.connection || place.queueing !== 'legacy');
}
