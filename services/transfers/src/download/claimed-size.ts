/** How long the file is said to be: until its hash is right, only a claim of whoever asked for it, or of a source. */
export class ClaimedSize {
  #bytes: number | undefined;
  #isLearned: boolean;
  /** Key of the source that said it; empty where that is not known any more. */
  #from = '';

  constructor(bytes: number | undefined, isLearned: boolean) {
    this.#bytes = bytes;
    this.#isLearned = isLearned;
  }

  /** Undefined while unknown. */
  get bytes(): number | undefined {
    return this.#bytes;
  }

  /** A source said it, not who asked for the file. */
  get isLearned(): boolean {
    return this.#isLearned;
  }

  /** Whether it was learned of that very source. */
  isFrom(sourceKey: string): boolean {
    return this.#isLearned && this.#from === sourceKey;
  }

  /** Takes it of whoever asks for the file. @returns false where it was known */
  vouch(bytes: number): boolean {
    if (this.#bytes !== undefined) return false;
    this.#bytes = bytes;
    return true;
  }

  /** Takes it of a source. @returns false where it was known */
  learn(bytes: number, sourceKey: string): boolean {
    if (!this.vouch(bytes)) return false;
    this.#isLearned = true;
    this.#from = sourceKey;
    return true;
  }

  forget(): void {
    this.#bytes = undefined;
    this.#isLearned = false;
    this.#from = '';
  }
}
