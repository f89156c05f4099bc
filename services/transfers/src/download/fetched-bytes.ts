import type { Sha1 } from '@filbert/gnutella';
import { isFinishedFile, PartFile, type WriteAt } from './part-file.ts';
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
  readonly writeAt?: WriteAt;
}

/** What of one file was fetched: the bytes in its part file, those of them that survive a power cut, and whom they came from. */
export class FetchedBytes {
  readonly #options: FetchedBytesOptions;
  readonly #file: PartFile;
  readonly #contributors: Set<string>;
  #written: RangeSet;
  /** What the last checkpoint made durable. */
  #durable: readonly Range[];
  #dirty = false;
  #checkpointing: Promise<void> | undefined;

  constructor(options: FetchedBytesOptions) {
    this.#options = options;
    this.#file = new PartFile(options);
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

  /** Keys of the sources whose bytes are in the file. */
  get contributors(): ReadonlySet<string> {
    return this.#contributors;
  }

  /** Opens the part file. What it does not hold was not fetched, whatever was noted. @throws DiskError */
  async open(size: number | undefined): Promise<void> {
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

  /** Throws away what was fetched. @returns how many bytes that was @throws DiskError */
  async discard(): Promise<number> {
    // One under way would note afterwards what is not there any more.
    await this.#checkpointing?.catch(() => undefined);
    const { bytes } = this.#written;
    this.#written = new RangeSet();
    this.#contributors.clear();
    await this.#file.clear();
    // Before new bytes come: those of the past must not be noted as there.
    this.#durable = [];
    this.#dirty = false;
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
  finish(size: number, announce: (path: string) => Promise<void>): Promise<string> {
    return this.#file.finish(size, announce);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Closes the part file and deletes it. */
  async remove(): Promise<void> {
    await this.#file.remove();
  }

  /** The bytes are elsewhere now, in the finished file: nothing is left to note. */
  forget(): void {
    this.#written = new RangeSet();
    this.#durable = [];
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
