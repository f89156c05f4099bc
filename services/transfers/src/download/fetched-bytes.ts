import type { Sha1 } from '@filbert/gnutella';
import { fileLength, isFinishedFile, PartFile, type WriteAt } from './part-file.ts';
import { RangeSet, type Range } from './range-set.ts';

export interface FetchedBytesOptions {
  /** The downloads folder. */
  readonly folder: string;
  readonly name: string;
  readonly sha1: Sha1;
  /** Bytes that were on disk for certain when the job was noted last. */
  readonly ranges: readonly Range[];
  /** Keys of the sources that these came from. */
  readonly contributors: readonly string[];
  /** Which part file they are in. */
  readonly part: string;
  /** Somebody else may still write to that one. */
  readonly partIsShared: boolean;
  /** A number for the next part file, above that of every worker that had the download before. */
  readonly nextPart: () => number;
  readonly writeAt?: WriteAt;
}

/** What of one file was fetched: the bytes in its part file, those of them that survive a power cut, and whom they came from. */
export class FetchedBytes {
  readonly #options: FetchedBytesOptions;
  #file: PartFile;
  #part: string;
  #partIsShared: boolean;
  readonly #contributors: Set<string>;
  #written: RangeSet;
  /** What the last checkpoint made durable. */
  #durable: readonly Range[];
  #dirty = false;
  #checkpointing: Promise<void> | undefined;

  constructor(options: FetchedBytesOptions) {
    this.#options = options;
    this.#file = new PartFile(options);
    this.#part = options.part;
    this.#partIsShared = options.partIsShared;
    this.#contributors = new Set(options.contributors);
    this.#written = RangeSet.from(options.ranges);
    this.#durable = this.#written.ranges;
  }

  /** What was written, durable or not. */
  get written(): RangeSet {
    return this.#written;
  }

  /** What a job may note as fetched. */
  get durable(): readonly Range[] {
    return this.#durable;
  }

  /** Which part file holds `durable`. */
  get part(): string {
    return this.#part;
  }

  /** Somebody else may still write to that one. */
  get partIsShared(): boolean {
    return this.#partIsShared;
  }

  /** Keys of the sources whose bytes are in the file. */
  get contributors(): ReadonlySet<string> {
    return this.#contributors;
  }

  /**
   * Opens the part file. What it does not hold was not fetched, whatever was noted. One that somebody else may still write
   * to is left to them: what was noted is copied into a new one.
   * @param note puts on record which part file it is
   * @throws DiskError; what `note` throws; also the signal's reason
   */
  async open(size: number | undefined, note: () => Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#partIsShared) await this.#leaveShared(note, signal);
    const length = await this.#file.open();
    this.#written = this.#written.cutAt(Math.min(length, size ?? length));
    this.#durable = [...this.#written.ranges];
    if (this.#written.bytes === 0) this.#contributors.clear();
  }

  /** @throws DiskError */
  async write(bytes: Buffer, position: number, contributor: string): Promise<void> {
    await this.#file.write(bytes, position);
    this.#written.add(position, position + bytes.length);
    this.#contributors.add(contributor);
    this.#dirty = true;
  }

  /**
   * Makes what was written durable and has it noted. One at a time; what fails is made up for by the next one: the checkpoint
   * before stands.
   * @param note puts `durable` on record
   * @throws DiskError; what `note` throws
   */
  async checkpoint(note: () => Promise<void>): Promise<void> {
    // One that is under way does not speak of what was written since it began.
    while (this.#checkpointing !== undefined) await this.#checkpointing;
    if (!this.#dirty) return;
    this.#checkpointing = this.#checkpoint(note).finally(() => {
      this.#checkpointing = undefined;
    });
    await this.#checkpointing;
  }

  /**
   * Throws away what was fetched, once it is on record that nothing is there.
   * @returns how many bytes that was
   * @throws DiskError; what `note` throws, and then the bytes are not touched, although nothing counts as fetched any more
   */
  async discard(note: () => Promise<void>): Promise<number> {
    while (this.#checkpointing !== undefined) await this.#checkpointing.catch(() => undefined);
    const { bytes } = this.#written;
    this.#written = new RangeSet();
    this.#contributors.clear();
    this.#durable = [];
    this.#dirty = false;
    await note();
    await this.#file.clear();
    return bytes;
  }

  /** Whether the first `size` bytes have the hash. @throws DiskError; also the signal's reason */
  verify(size: number, signal: AbortSignal): Promise<boolean> {
    return this.#file.verify(size, signal);
  }

  /** Whether an earlier process had finished the file at `path` and only not noted that. */
  wasFinished(path: string, size: number, signal: AbortSignal): Promise<boolean> {
    return isFinishedFile(path, size, this.#options.sha1, signal);
  }

  /** See `PartFile.finish`. */
  async finish(size: number, announce: (path: string) => Promise<void>): Promise<string> {
    const path = await this.#file.finish(size, announce);
    await this.#clearUp();
    return path;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Closes the part file and deletes it. */
  async remove(): Promise<void> {
    await this.#file.remove();
    await this.#clearUp();
  }

  /** The bytes are elsewhere now, in the finished file: nothing is left to note. */
  forget(): void {
    this.#written = new RangeSet();
    this.#durable = [];
  }

  async #leaveShared(note: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const part = String(this.#options.nextPart());
    const own = new PartFile({ ...this.#options, part });
    try {
      const from = this.#file.path;
      const length = await fileLength(from);
      this.#written = this.#written.cutAt(length);
      await own.open();
      if (this.#written.bytes > 0) await own.copyFrom(from, this.#written.ranges, signal);
      await own.close();
    } catch (error) {
      await own.remove();
      throw error;
    }
    this.#file = own;
    this.#part = part;
    this.#partIsShared = false;
    this.#durable = [...this.#written.ranges];
    await note();
    await this.#clearUp();
  }

  /** Part files that other workers had, or that a worker was copying to when it ended. */
  async #clearUp(): Promise<void> {
    // Only a download that changed hands ever has more than one.
    if (this.#part !== '') await this.#file.removeEarlier();
  }

  async #checkpoint(note: () => Promise<void>): Promise<void> {
    this.#dirty = false;
    const ranges = [...this.#written.ranges];
    try {
      await this.#file.sync();
      this.#durable = ranges;
      await note();
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }
}
