// The headers of one handshake block (docs/protocol/01-handshake.md §2 and §4).

/** Headers that hold one value: of repeated ones the first wins, where lists are joined. */
const SINGLE_VALUED = new Set([
  'bye-packet',
  'crawler',
  'ggep',
  'guid',
  'pong-caching',
  'remote-ip',
  'uptime',
  'user-agent',
  'vendor-message',
  'x-degree',
  'x-dynamic-querying',
  'x-ext-probes',
  'x-guess',
  'x-live-since',
  'x-max-ttl',
  'x-query-routing',
  'x-requeries',
  'x-ultrapeer',
  'x-ultrapeer-needed',
  'x-ultrapeer-query-routing',
]);

/** An ordered, case-insensitive view of a block's headers. Values are ISO-8859-1 text without control characters. */
export class HandshakeHeaders {
  readonly #entries: [name: string, value: string][] = [];
  readonly #values = new Map<string, string>();

  constructor(entries: Iterable<readonly [name: string, value: string]> = []) {
    for (const [name, value] of entries) this.#add(name, value);
  }

  /** All headers as they came: order and case kept, repeated ones apart. */
  get entries(): readonly (readonly [name: string, value: string])[] {
    return this.#entries;
  }

  /** Whether the header came at all, even empty. */
  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  /**
   * The value of a header in any case; undefined when absent. Repeated headers are joined with ", ", but of those that
   * hold a single value (X-Ultrapeer, X-Degree, GUID and the like) the first wins.
   */
  get(name: string): string | undefined {
    return this.#values.get(name.toLowerCase());
  }

  #add(name: string, value: string): void {
    this.#entries.push([name, value]);
    const key = name.toLowerCase();
    const before = this.#values.get(key);
    if (before === undefined) this.#values.set(key, value);
    else if (!SINGLE_VALUED.has(key)) this.#values.set(key, `${before}, ${value}`);
  }
}
