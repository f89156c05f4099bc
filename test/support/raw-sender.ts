import type { RawStream } from './raw-stream.ts';
import { patchPayloads, resetPayload, tableSlots, type RawPatchForm } from './raw-table.ts';
import {
  byePayload,
  encodeFrame,
  hitPayload,
  messagesSupportedBody,
  pushPayload,
  queryPayload,
  randomGuid,
  RAW_DESCRIPTOR,
  vendorPayload,
  type RawFrame,
  type RawHit,
  type RawPush,
  type RawQuery,
  type RawVendorId,
} from './raw-wire.ts';

/** The GUID of messages that need none. */
const ZERO_GUID = '0'.repeat(32);

/** Where a message goes and under which GUID. */
export interface RawEnvelope {
  /** Default random. */
  guid?: string;
  ttl?: number;
  hops?: number;
}

/** What a peer's own table shall hold, and how it is written. */
export interface RawTableOptions extends RawPatchForm {
  /** log2 of the slots; default 16. */
  bits?: number;
  words?: readonly string[];
  urns?: readonly string[];
  /** Whether prefixes are inserted; default true. */
  prefixes?: boolean;
  /** Default 2. */
  infinity?: number;
}

/** Words and URNs that come into or leave a peer's table. */
export interface RawTableChange extends RawPatchForm {
  addWords?: readonly string[];
  removeWords?: readonly string[];
  addUrns?: readonly string[];
  removeUrns?: readonly string[];
}

interface OwnTable {
  bits: number;
  words: Set<string>;
  urns: Set<string>;
  prefixes: boolean;
}

/** The sending half of a raw peer: every message kind, and the table that this peer says it has. */
export class RawSender {
  readonly #link: RawStream;
  #own: OwnTable | undefined;
  /** GUIDs of the queries sent, by text. */
  readonly #asked = new Map<string, string[]>();

  constructor(stream: RawStream) {
    this.#link = stream;
  }

  /** Writes any bytes, well formed or not. */
  send(bytes: Uint8Array): void {
    this.#link.write(bytes);
  }

  /** Sends a message and returns it. TTL 1, hops 0 and a random GUID unless said. */
  sendFrame(descriptor: number, payload: Buffer, envelope: RawEnvelope = {}): RawFrame {
    const { guid = randomGuid(), ttl = 1, hops = 0 } = envelope;
    const frame = { guid, descriptor, ttl, hops, payload };
    this.send(encodeFrame(frame));
    return frame;
  }

  sendPing(ping: RawEnvelope & { extension?: Uint8Array } = {}): RawFrame {
    return this.sendFrame(RAW_DESCRIPTOR.ping, Buffer.from(ping.extension ?? []), ping);
  }

  /**
   * Sends a query. Where this peer asked the same text before under another GUID, it ends in as many spaces as there were
   * such queries: to the very same text once more nobody answers (protocol page 12 §5). To repeat one, use `sendFrame`.
   */
  sendQuery(query: RawQuery & RawEnvelope): RawFrame {
    const { text = '', guid = randomGuid(), urns = [] } = query;
    const asked = this.#asked.get(text) ?? [];
    if (!asked.includes(guid)) asked.push(guid);
    this.#asked.set(text, asked);
    const spaces = urns.length > 0 ? 0 : asked.indexOf(guid);
    return this.sendFrame(RAW_DESCRIPTOR.query, queryPayload({ ...query, text: text + ' '.repeat(spaces) }), {
      ...query,
      guid,
    });
  }

  /** Sends a hit for the query with that GUID. TTL 4 unless said. */
  sendHit(hit: RawHit & { queryGuid: string; ttl?: number; hops?: number }): RawFrame {
    const { queryGuid, ttl = 4, hops = 0 } = hit;
    return this.sendFrame(RAW_DESCRIPTOR.hit, hitPayload(hit), { guid: queryGuid, ttl, hops });
  }

  /** Sends a PUSH. TTL 4 unless said. */
  sendPush(push: RawPush & RawEnvelope): RawFrame {
    return this.sendFrame(RAW_DESCRIPTOR.push, pushPayload(push), { ttl: 4, ...push });
  }

  sendBye(code: number, text: string): RawFrame {
    return this.sendFrame(RAW_DESCRIPTOR.bye, byePayload(code, text));
  }

  sendVendor(vendor: string, id: number, version: number, body: Uint8Array, envelope?: RawEnvelope): RawFrame {
    const payload = vendorPayload(vendor, id, version, body);
    return this.sendFrame(RAW_DESCRIPTOR.vendor, payload, { guid: ZERO_GUID, ...envelope });
  }

  /** Sends MessagesSupported (protocol page 07 §2). */
  sendMessagesSupported(list: readonly RawVendorId[]): RawFrame {
    return this.sendVendor('', 0, 0, messagesSupportedBody(list));
  }

  /** Sends Hops Flow: only queries with fewer hops shall come (protocol page 07 §2). */
  sendHopsFlow(hops: number): RawFrame {
    return this.sendVendor('BEAR', 4, 1, Buffer.of(hops));
  }

  /** Sends RESET and a whole table as one patch sequence. */
  sendTable(table: RawTableOptions): void {
    const { bits = 16, words = [], urns = [], prefixes = true } = table;
    this.#own = { bits, words: new Set(words), urns: new Set(urns), prefixes };
    this.sendQrp(resetPayload(2 ** bits, table.infinity ?? 2));
    for (const payload of patchPayloads(bits, this.#ownSlots(), [], table)) this.sendQrp(payload);
  }

  /** Sends the difference that a change makes to the table sent last. @throws Error before any `sendTable` */
  sendTablePatch(change: RawTableChange): void {
    const own = this.#own;
    if (own === undefined) throw new Error('raw peer: no table was sent');
    const before = new Set(this.#ownSlots());
    for (const word of change.addWords ?? []) own.words.add(word);
    for (const word of change.removeWords ?? []) own.words.delete(word);
    for (const urn of change.addUrns ?? []) own.urns.add(urn);
    for (const urn of change.removeUrns ?? []) own.urns.delete(urn);
    const after = new Set(this.#ownSlots());
    const set = [...after].filter((slot) => !before.has(slot));
    const clear = [...before].filter((slot) => !after.has(slot));
    for (const payload of patchPayloads(own.bits, set, clear, change)) this.sendQrp(payload);
  }

  /** Sends one QRP message with this payload. */
  sendQrp(payload: Buffer): void {
    this.sendFrame(RAW_DESCRIPTOR.qrp, payload, { guid: ZERO_GUID });
  }

  #ownSlots(): number[] {
    const own = this.#own;
    if (own === undefined) return [];
    return tableSlots({ bits: own.bits, words: [...own.words], urns: [...own.urns], prefixes: own.prefixes });
  }
}
