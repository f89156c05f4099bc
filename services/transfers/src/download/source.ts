import { formatPeerAddress, guidToHex, type Guid, type PeerAddress } from '@filbert/gnutella';
import type { BlameReason } from '../counters.ts';

/** Somebody who says to have a file. */
export interface SourceFacts {
  /** Undefined where only a PUSH can reach it. */
  readonly address: PeerAddress | undefined;
  readonly serventGuid: Guid | undefined;
  readonly index: number;
  readonly firewalled: boolean;
}

interface BlameRule {
  /** The source rests this long, twice as long after each further time, in ms. */
  readonly restMs: number;
  /** So many times (in a row, where bytes clear them) and it is never asked again. */
  readonly strikes: number;
  /** Bytes that arrived clear earlier strikes of this kind. */
  readonly clearedByBytes: boolean;
}

/** Longest rest of a source, in ms. */
export const MAX_REST_MS = 30 * 60_000;
/** Retry-After is taken for at least and at most this (docs/protocol/08-push-and-transfers.md §4.1), in ms. */
export const MIN_RETRY_MS = 2_000;
const MAX_RETRY_MS = 3_600_000;

const FOR_EVER = Number.POSITIVE_INFINITY;

/** What each fault costs (docs/protocol/08-push-and-transfers.md §4.1, §5). */
const RULES: Readonly<Record<BlameReason, BlameRule>> = {
  unreachable: { restMs: 60_000, strikes: 6, clearedByBytes: true },
  'no-giv': { restMs: 60_000, strikes: 6, clearedByBytes: true },
  'no-push-route': { restMs: 60_000, strikes: FOR_EVER, clearedByBytes: true },
  'closed-early': { restMs: 15_000, strikes: 3, clearedByBytes: true },
  'timed-out': { restMs: 60_000, strikes: 3, clearedByBytes: true },
  stalled: { restMs: 60_000, strikes: 5, clearedByBytes: false },
  busy: { restMs: 60_000, strikes: FOR_EVER, clearedByBytes: true },
  'not-found': { restMs: 0, strikes: 1, clearedByBytes: false },
  forbidden: { restMs: 360_000, strikes: 3, clearedByBytes: true },
  'bad-status': { restMs: 60_000, strikes: 5, clearedByBytes: true },
  'bad-response': { restMs: 60_000, strikes: 3, clearedByBytes: false },
  html: { restMs: 0, strikes: 1, clearedByBytes: false },
  'wrong-range': { restMs: 15_000, strikes: 3, clearedByBytes: false },
  'wrong-size': { restMs: 0, strikes: 1, clearedByBytes: false },
  'wrong-urn': { restMs: 0, strikes: 1, clearedByBytes: false },
  'wrong-hash': { restMs: 0, strikes: 1, clearedByBytes: false },
};

/** One source of one download, with what is held against it. */
export class Source {
  readonly facts: SourceFacts;
  readonly key: string;
  bytes = 0;
  active = false;
  blame: BlameReason | undefined;
  givenUp = false;
  restUntilMs = 0;
  /** Place in its upload queue; 0: in none. */
  queuePosition = 0;
  /** PARQ: the ID that it gave us. */
  ticket: string | undefined;
  readonly #strikes = new Map<BlameReason, number>();

  constructor(facts: SourceFacts) {
    this.facts = facts;
    this.key = sourceKey(facts);
  }

  /** Whether it may be asked at `nowMs`. */
  isReady(nowMs: number): boolean {
    return !this.active && !this.givenUp && this.restUntilMs <= nowMs;
  }

  /** Bytes of the file came from it. */
  credit(bytes: number): void {
    this.bytes += bytes;
    this.blame = undefined;
    for (const reason of this.#strikes.keys()) if (RULES[reason].clearedByBytes) this.#strikes.delete(reason);
  }

  /**
   * Holds a fault against it.
   * @param retryAfterMs what the source itself asked for
   * @param restFactor shortens all rests; for tests
   */
  hold(reason: BlameReason, nowMs: number, restFactor: number, retryAfterMs?: number): void {
    const rule = RULES[reason];
    const strikes = (this.#strikes.get(reason) ?? 0) + 1;
    this.#strikes.set(reason, strikes);
    this.blame = reason;
    if (strikes >= rule.strikes) this.givenUp = true;
    const restMs =
      retryAfterMs === undefined
        ? Math.min(MAX_REST_MS, rule.restMs * 2 ** Math.min(strikes - 1, 10)) * restFactor
        : Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, retryAfterMs));
    this.restUntilMs = nowMs + restMs;
  }

  /** Lets bygones be bygones: a person resumed the download, or what was held against it was another's lie. */
  forgive(): void {
    this.#strikes.clear();
    this.blame = undefined;
    this.givenUp = false;
    this.restUntilMs = 0;
  }
}

/** What makes two sources the same one. */
export function sourceKey({ address, serventGuid, firewalled }: SourceFacts): string {
  if (firewalled && serventGuid !== undefined) return guidToHex(serventGuid);
  return address === undefined ? '' : formatPeerAddress(address);
}
