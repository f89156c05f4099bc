import { formatPeerAddress, guidToHex, type Guid, type PeerAddress } from '@filbert/gnutella';
import type { TransfersCounters } from '../counters.ts';
import type { Connection } from '../network/connection.ts';
import type { HttpRequest } from './request.ts';
import { responseHead, type Answer } from './response.ts';

/** A request must be complete within this after the connection or the response before it (docs/protocol/08 §4), in ms. */
export const REQUEST_TIMEOUT_MS = 60_000;
/** A client that polls on its connection for its turn has so much longer than it was told, in ms. */
const POLL_GRACE_MS = 15_000;
/** A peer that takes no bytes for this long has lost its upload, in ms. */
export const SEND_STALL_MS = 60_000;
/** After so many error answers the connection ends (§4). */
export const MAX_ERRORS_PER_CONNECTION = 10;
/** Requests of one connection; then it is closed, so that it is admitted anew. */
export const MAX_REQUESTS_PER_CONNECTION = 10_000;
/** What we can do, told with the first response of a connection (§4.2). */
const FEATURES = 'X-Features: browse/1.0, queue/0.1, queue/1.0';

export interface HttpSessionOptions {
  readonly counters: TransfersCounters;
  /** Undefined while unknown. */
  readonly serventGuid: () => Guid | undefined;
  /** Where peers can connect to us; undefined where they cannot or nothing is known. */
  readonly ownAddress: () => PeerAddress | undefined;
  /** ms, never goes back */
  readonly now: () => number;
  readonly requestTimeoutMs?: number;
  readonly sendStallMs?: number;
}

/** Requests and responses of one connection, one after the other. */
export class HttpSession {
  readonly connection: Connection;
  /** We opened the connection because of a PUSH. */
  readonly pushed: boolean;
  /** What the present request got. */
  served: 'file' | 'other' = 'other';
  readonly #options: HttpSessionOptions;
  readonly #requestTimeoutMs: number;
  #errors = 0;
  #requests = 0;
  #nextRequestTimeoutMs: number;
  #requestedAtMs = 0;
  #isLast = false;

  constructor(connection: Connection, pushed: boolean, options: HttpSessionOptions) {
    this.connection = connection;
    this.pushed = pushed;
    this.#options = options;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#nextRequestTimeoutMs = this.#requestTimeoutMs;
  }

  /** The head of the next request, or why there is none. */
  readHead(): ReturnType<Connection['readHead']> {
    const timeoutMs = this.#nextRequestTimeoutMs;
    this.#nextRequestTimeoutMs = this.#requestTimeoutMs;
    return this.connection.readHead(timeoutMs);
  }

  /** A head came: counts against what one connection may ask. */
  countRequest(): void {
    this.#requests++;
  }

  /** The request is complete and understood: its time runs from here. */
  begin(): void {
    this.#requestedAtMs = this.#options.now();
    this.served = 'other';
  }

  /** Since the present request was complete. */
  get tookSeconds(): number {
    return (this.#options.now() - this.#requestedAtMs) / 1_000;
  }

  /** Writes within the time that a peer may take no bytes. @returns false where it did not take them */
  write(bytes: Uint8Array | string): Promise<boolean> {
    return this.connection.write(bytes, this.sendStallMs);
  }

  get sendStallMs(): number {
    return this.#options.sendStallMs ?? SEND_STALL_MS;
  }

  /** The client may keep its connection while it waits for its turn. That it has to is no error of its. */
  letWait(seconds: number): void {
    this.#nextRequestTimeoutMs = Math.max(this.#requestTimeoutMs, seconds * 1_000 + POLL_GRACE_MS);
    this.#errors--;
  }

  /** There is no further request after the present one. */
  end(): void {
    this.#isLast = true;
  }

  /** Whether the connection goes on after the response to this request. */
  keeps(request: HttpRequest): boolean {
    const used = this.#errors >= MAX_ERRORS_PER_CONNECTION || this.#requests >= MAX_REQUESTS_PER_CONNECTION;
    return request.keepAlive && !used && !this.#isLast;
  }

  /** Headers of every response. */
  commonHeaders(keep: boolean): string[] {
    const first = this.#requests <= 1 ? this.#introduction() : [];
    return [...first, `Connection: ${keep ? 'keep-alive' : 'close'}`];
  }

  /**
   * Answers without a file.
   * @param request - undefined where none could be understood
   * @returns whether the connection goes on
   */
  async answer(request: HttpRequest | undefined, answer: Answer): Promise<boolean> {
    if (answer.status >= 400) this.#errors++;
    const keep = request !== undefined && answer.close !== true && this.keeps(request);
    const body = answer.body ?? '';
    const head = responseHead(answer.status, answer.reason, [
      `Content-Type: ${answer.contentType ?? 'text/plain'}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(answer.headers ?? []),
      ...this.commonHeaders(keep),
    ]);
    const { requests, uploadsRefused } = this.#options.counters;
    requests[answer.result]++;
    if (answer.uploadRefusal !== undefined) uploadsRefused[answer.uploadRefusal]++;
    const text = request?.method === 'HEAD' ? head : head + body;
    return (await this.write(text)) && keep;
  }

  /** Who we are, told with the first response of a connection (docs/protocol/08-push-and-transfers.md §4.2). */
  #introduction(): string[] {
    const guid = this.#options.serventGuid();
    const own = this.pushed ? this.#options.ownAddress() : undefined;
    return [
      FEATURES,
      `X-Remote-IP: ${this.connection.remote.host}`,
      ...(guid === undefined ? [] : [`X-GUID: ${guidToHex(guid)}`]),
      // Whoever sent a PUSH may come by itself the next time.
      ...(own === undefined ? [] : [`X-Host: ${formatPeerAddress(own)}`]),
    ];
  }
}
