import { ReplayMark, type LinkRecord, type StateBatch, type TableChange } from '../gen/filbert/bus/v1/bus.ts';
import { emptyLinkRecord } from '../link.ts';
import { packed } from '../packed.ts';
import { edgeState } from '../subjects.ts';
import type { Bus } from '@filbert/kit';

/** A message of the state stream holds at most this many bytes. */
const MESSAGE_BYTES = 256 * 1024;
/** Records of one message at most. */
const MESSAGE_RECORDS = 512;
/** Numbers of live links in one message at the end of a replay, at most: 192 KiB. */
const MESSAGE_LINKS = 48 * 1024;
const NO_LINKS = new Uint32Array(0);
/** A replay works this long before it lets other work in, ms. */
const SLICE_MS = 5;
/** What a record takes beside its table, at most: its address is the longest part. */
const RECORD_BYTES = 192;
/** What a message takes beside its records, at most. */
const ENVELOPE_BYTES = 256;

/** A link whose facts the stream can tell. */
export interface DescribedLink {
  readonly number: number;
  /** Its facts without a table. */
  describe(): LinkRecord;
  /** Its table as changes from nothing; empty where it has none. */
  describeTable(): TableChange[];
}

/**
 * The edge's numbered stream of link records (docs/architecture.md, "State"). Records of one event-loop turn travel
 * together; `number` is what ingress batches name as the state they rely on.
 */
export class StateStream {
  readonly #bus: Bus;
  readonly #topic;
  readonly #edgeId: string;
  readonly #epoch: number;
  readonly #links: () => Iterable<DescribedLink>;
  #number = 0;
  #pending: LinkRecord[] = [];
  #pendingBytes = 0;
  #replaying = false;
  #replayAgain = false;
  /** Links that ended during the replay under way. */
  readonly #goneMeanwhile = new Set<number>();
  #closed = false;

  constructor(options: {
    readonly bus: Bus;
    readonly edgeId: string;
    readonly epoch: number;
    readonly links: () => Iterable<DescribedLink>;
  }) {
    this.#bus = options.bus;
    this.#topic = edgeState(options.edgeId);
    this.#edgeId = options.edgeId;
    this.#epoch = options.epoch;
    this.#links = options.links;
  }

  /** Number of the last record. */
  get number(): number {
    return this.#number;
  }

  /** Tells the facts of a link, and with `table` how its table changed. */
  upsert(link: DescribedLink, table?: TableChange): void {
    const record = link.describe();
    record.table = table;
    this.#add(record);
  }

  /** Tells that a link is gone. */
  gone(number: number): void {
    if (this.#replaying) this.#goneMeanwhile.add(number);
    const record = emptyLinkRecord(number);
    record.gone = true;
    this.#add(record);
  }

  /** Sends what waits; called before frames that rely on it. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const first = this.#number - this.#pending.length + 1;
    this.#publish(first, this.#pending, ReplayMark.REPLAY_MARK_UNSPECIFIED);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** Repeats the facts of every live link, in slices. A call during a replay makes one more follow it. */
  replay(): void {
    if (this.#replaying) {
      this.#replayAgain = true;
      return;
    }
    this.#replaying = true;
    this.#goneMeanwhile.clear();
    this.flush();
    this.#publish(this.#number, [], ReplayMark.REPLAY_MARK_BEGIN);
    this.#replaySlice([...this.#links()], 0);
  }

  close(): void {
    this.flush();
    this.#closed = true;
  }

  #add(record: LinkRecord): void {
    if (this.#closed) return;
    const bytes = recordBytes(record);
    if (isFull(this.#pending.length, this.#pendingBytes + bytes)) this.flush();
    if (this.#pending.length === 0) setImmediate(() => this.flush());
    this.#pending.push(record);
    this.#number = (this.#number + 1) >>> 0;
    this.#pendingBytes += bytes;
  }

  #replaySlice(links: DescribedLink[], from: number): void {
    if (this.#closed) return;
    const until = performance.now() + SLICE_MS;
    let records: LinkRecord[] = [];
    let bytes = 0;
    let at = from;
    // What waits must stand before the facts that include it.
    this.flush();
    for (; at < links.length && performance.now() < until; at++) {
      const link = links[at] as DescribedLink;
      if (this.#goneMeanwhile.has(link.number)) continue;
      const changes = link.describeTable();
      for (let i = 0; i < Math.max(1, changes.length); i++) {
        const record = link.describe();
        record.table = changes[i];
        const more = recordBytes(record);
        if (records.length > 0 && isFull(records.length, bytes + more)) {
          this.#publish(this.#number, records, ReplayMark.REPLAY_MARK_PART);
          records = [];
          bytes = 0;
        }
        records.push(record);
        bytes += more;
      }
    }
    if (records.length > 0) this.#publish(this.#number, records, ReplayMark.REPLAY_MARK_PART);
    if (at < links.length) {
      setImmediate(() => this.#replaySlice(links, at));
      return;
    }
    this.#endReplay();
    this.#replaying = false;
    if (!this.#replayAgain) return;
    this.#replayAgain = false;
    this.replay();
  }

  /** Names all links that live, in one turn so that none can end between two messages. */
  #endReplay(): void {
    const numbers = Uint32Array.from(this.#links(), (link) => link.number);
    let at = 0;
    for (; numbers.length - at > MESSAGE_LINKS; at += MESSAGE_LINKS) {
      const part = numbers.subarray(at, at + MESSAGE_LINKS);
      this.#publish(this.#number, [], ReplayMark.REPLAY_MARK_PART, part);
    }
    this.#publish(this.#number, [], ReplayMark.REPLAY_MARK_END, numbers.subarray(at));
  }

  #publish(
    firstNumber: number,
    records: LinkRecord[],
    replay: StateBatch['replay'],
    liveLinks: Uint32Array = NO_LINKS,
  ): void {
    this.#bus.publish(this.#topic, {
      edgeId: this.#edgeId,
      epoch: this.#epoch,
      firstNumber,
      records,
      replay,
      liveLinks: packed(liveLinks),
    });
  }
}

/** Whether a message of so many records has no room for one more, with which it would hold `bytes`. */
function isFull(records: number, bytes: number): boolean {
  return records >= MESSAGE_RECORDS || bytes + ENVELOPE_BYTES > MESSAGE_BYTES;
}

function recordBytes(record: LinkRecord): number {
  const { table } = record;
  if (table === undefined) return RECORD_BYTES;
  return RECORD_BYTES + table.setSlots.length + table.clearedSlots.length + table.bitmap.length;
}
