import {
  decodePush,
  FIREWALL_TO_FIREWALL_INDEX,
  formatPeerAddress,
  guidEquals,
  guidKey,
  HEADER_BYTES,
  isUsablePeerAddress,
  pushAddress,
  type Guid,
  type PeerAddress,
  limitKey,
} from '@filbert/gnutella';
import type { PushResult, TransfersCounters } from '../counters.ts';
import { AddressWindow } from '../http/address-window.ts';
import type { LibraryLookup } from '../library.ts';
import { Connection } from '../network/connection.ts';
import { dial } from '../network/dial.ts';
import { encodeGivLine } from './giv-line.ts';

/** PUSHes of one address within the window (docs/protocol/08-push-and-transfers.md §2). */
export const MAX_PUSHES_PER_WINDOW = 5;
export const PUSH_WINDOW_MS = 30_000;
/** An address that could not be connected to is not tried again for this long, in ms (§2). */
export const UNREACHABLE_REST_MS = 500_000;
/** Connections being opened for PUSHes at one time; further PUSHes are dropped. */
export const MAX_PUSH_DIALS = 64;
/** How long opening one may take, in ms. */
const DIAL_TIMEOUT_MS = 15_000;
/** PUSHes remembered, so that one that comes twice is served once. */
const MAX_REMEMBERED = 512;
const WRITE_TIMEOUT_MS = 10_000;

export interface PushUploadsOptions {
  readonly library: LibraryLookup;
  readonly counters: TransfersCounters;
  /** Undefined until the facts are known. */
  readonly serventGuid: () => Guid | undefined;
  /** The addresses that peers know the node by. */
  readonly ownAddresses: () => readonly PeerAddress[];
  readonly allowPrivate: boolean;
  readonly isLimited: (ip: string) => boolean;
  /** Serves HTTP on the connection until it ends. */
  readonly serve: (connection: Connection) => Promise<void>;
  /** ms, never goes back */
  readonly now: () => number;
  readonly dialTimeoutMs?: number;
}

/** Answers PUSHes for this node: connects to who asked, says GIV and serves (docs/protocol/08-push-and-transfers.md §2). */
export class PushUploads {
  readonly #options: PushUploadsOptions;
  readonly #window: AddressWindow;
  readonly #unreachable: AddressWindow;
  readonly #remembered = new Set<string>();
  readonly #stopping = new AbortController();
  #dials = 0;

  constructor(options: PushUploadsOptions) {
    this.#options = options;
    this.#window = new AddressWindow(MAX_PUSHES_PER_WINDOW, PUSH_WINDOW_MS, options.now);
    this.#unreachable = new AddressWindow(1, UNREACHABLE_REST_MS, options.now);
  }

  /** Takes a PUSH frame `bytes[start, end)`; resolves when what it led to has ended. Never rejects. */
  async onFrame(bytes: Uint8Array, start: number, end: number): Promise<void> {
    const { counters } = this.#options;
    const judged = this.#judge(bytes, start, end);
    if (typeof judged === 'string') {
      counters.pushes[judged]++;
      return;
    }
    this.#dials++;
    let connection: Connection | undefined;
    try {
      connection = await this.#connect(judged.address, judged.index, judged.serventGuid);
    } finally {
      this.#dials--;
    }
    counters.pushes[connection === undefined ? 'unreachable' : 'served']++;
    if (connection === undefined) this.#unreachable.admit(formatPeerAddress(judged.address));
    else await this.#options.serve(connection);
  }

  stop(): void {
    this.#stopping.abort();
  }

  #judge(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): PushResult | { readonly address: PeerAddress; readonly index: number; readonly serventGuid: Guid } {
    const { allowPrivate, isLimited } = this.#options;
    const push = decodePush(bytes, start + HEADER_BYTES, end);
    if (!push.ok) return 'malformed';
    const own = this.#options.serventGuid();
    if (own === undefined || !guidEquals(push.value.serventGuid, own)) return 'not-ours';
    if (push.value.fileIndex === FIREWALL_TO_FIREWALL_INDEX) return 'rudp';
    const address = pushAddress(push.value);
    if (address === undefined || !isUsablePeerAddress(address, { allowPrivate })) return 'bad-address';
    const text = formatPeerAddress(address);
    if (this.#options.ownAddresses().some((ours) => formatPeerAddress(ours) === text)) return 'own-address';
    if (!this.#remember(guidKey(bytes, start))) return 'duplicate';
    if (isLimited(address.host) && !this.#window.admit(limitKey(address.host))) return 'too-many';
    if (this.#dials >= MAX_PUSH_DIALS) return 'too-many';
    if (!this.#unreachable.isFull(text)) {
      return { address, index: push.value.fileIndex, serventGuid: push.value.serventGuid };
    }
    return 'unreachable';
  }

  /** False for a message that came before. */
  #remember(key: string): boolean {
    if (this.#remembered.has(key)) return false;
    if (this.#remembered.size >= MAX_REMEMBERED) {
      for (const oldest of this.#remembered) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    this.#remembered.add(key);
    return true;
  }

  async #connect(address: PeerAddress, index: number, serventGuid: Guid): Promise<Connection | undefined> {
    const [socket, answer] = await Promise.all([
      dial(address, this.#options.dialTimeoutMs ?? DIAL_TIMEOUT_MS, this.#stopping.signal),
      this.#options.library.byIndex(index),
    ]);
    if (socket === undefined) return undefined;
    const connection = new Connection(socket, address);
    // The index only informs: an unknown one is answered too, for browsing makes indexes up (§2).
    const fileName = answer.kind === 'found' ? answer.file.name : '';
    const said = await connection.write(encodeGivLine({ index, serventGuid, fileName }), WRITE_TIMEOUT_MS);
    return said ? connection : undefined;
  }
}
