import { formatPeerAddress, formatSha1Urn, guidToHex, parseSha1Urn, limitKey } from '@filbert/gnutella';
import type { Guid, PeerAddress, Sha1 } from '@filbert/gnutella';
import { startSpan } from '@filbert/kit';
import type { TransfersCounters } from '../counters.ts';
import type { LibraryAnswer, LibraryFile, LibraryLookup } from '../library.ts';
import { queueHeaders, queueingOf, ticketOf } from '../slots/queue-headers.ts';
import type { UploadSlots } from '../slots/upload-slots.ts';
import { AddressWindow } from './address-window.ts';
import type { Bandwidth } from './bandwidth.ts';
import { browseBody, browseType, PACKETS_TYPE } from './browse.ts';
import { resolveRange, type ByteSpan } from './byte-range.ts';
import type { Connection } from '../network/connection.ts';
import type { PushProxyServer } from './push-proxy.ts';
import { parseRequest, type HttpRequest } from './request.ts';
import { refusal, responseHead, type Answer } from './response.ts';
import { sendFile, type FileBody } from './send-file.ts';
import { openSharedFile } from './shared-file.ts';

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
/** Listings that one address gets in an hour (§7). */
const BROWSES_PER_HOUR = 3;
const HOUR_MS = 3_600_000;
const UNAVAILABLE_RETRY_S = 60;
/** What we can do, told with the first response of a connection (§4.2). */
const FEATURES = 'X-Features: browse/1.0, queue/0.1, queue/1.0';

export interface UploadServerOptions {
  readonly library: LibraryLookup;
  readonly slots: UploadSlots;
  readonly pushProxy: PushProxyServer;
  readonly bandwidth: Bandwidth;
  readonly counters: TransfersCounters;
  /** Folders that files may lie in. */
  readonly shareFolders: readonly string[];
  /** Whether the limits per address apply to this one. */
  readonly isLimited: (ip: string) => boolean;
  /** Undefined while unknown. */
  readonly serventGuid: () => Guid | undefined;
  /** Where peers can connect to us; undefined where they cannot or nothing is known. */
  readonly ownAddress: () => PeerAddress | undefined;
  /** ms since 1970 */
  readonly wallClock: () => number;
  /** ms, never goes back */
  readonly now: () => number;
  readonly requestTimeoutMs?: number;
  readonly sendStallMs?: number;
}

/** An upload under way. */
export interface Upload {
  readonly connection: Connection;
  readonly userAgent: string;
  readonly file: LibraryFile;
  readonly span: ByteSpan;
  sentBytes: number;
  readonly startedAtMs: number;
  readonly pushed: boolean;
}

interface Session {
  readonly connection: Connection;
  readonly pushed: boolean;
  errors: number;
  requests: number;
  nextRequestTimeoutMs: number;
  /** When the present request was complete, by `now`. */
  requestedAtMs: number;
  answer: 'file' | 'other';
}

/** Serves files and listings over connections that others accepted or opened. */
export class UploadServer {
  readonly #options: UploadServerOptions;
  readonly #browses: AddressWindow;
  readonly #requestTimeoutMs: number;
  readonly #uploads = new Set<Upload>();
  readonly #sessions = new Set<Session>();
  #draining = false;

  constructor(options: UploadServerOptions) {
    this.#options = options;
    this.#browses = new AddressWindow(BROWSES_PER_HOUR, HOUR_MS, options.now);
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  }

  get uploads(): ReadonlySet<Upload> {
    return this.#uploads;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Serves requests one after the other until either side ends the connection. Never rejects. */
  async serve(connection: Connection, pushed: boolean): Promise<void> {
    const session: Session = {
      connection,
      pushed,
      errors: 0,
      requests: 0,
      nextRequestTimeoutMs: this.#requestTimeoutMs,
      requestedAtMs: 0,
      answer: 'other',
    };
    this.#sessions.add(session);
    connection.onClose(() => this.#options.slots.closed(connection));
    try {
      while (await this.#serveOne(session)) if (this.#draining) break;
      await connection.end();
    } catch {
      // A disk that fails in the middle of a file: the peer sees a short body.
      connection.destroy();
    } finally {
      this.#options.slots.closed(connection);
      this.#sessions.delete(session);
    }
  }

  /** Lets uploads under way end with their present range and takes no further request. */
  drain(): void {
    this.#draining = true;
    for (const { connection } of this.#sessions) {
      const busy = [...this.#uploads].some((upload) => upload.connection === connection);
      if (!busy) connection.destroy();
    }
  }

  stop(): void {
    this.#draining = true;
    for (const { connection } of this.#sessions) connection.destroy();
  }

  /** @returns whether the connection goes on */
  async #serveOne(session: Session): Promise<boolean> {
    const { connection } = session;
    const result = await connection.readHead(session.nextRequestTimeoutMs);
    session.nextRequestTimeoutMs = this.#requestTimeoutMs;
    if (result.kind === 'ended') return false;
    if (result.kind === 'timeout') {
      if (result.begun)
        await this.#answer(session, undefined, refusal(408, 'Request Timeout', 'timeout', { close: true }));
      return false;
    }
    if (result.kind === 'refused') {
      const tooLarge = result.reason === 'too-large';
      const [status, reason] = tooLarge ? ([413, 'Header Too Large'] as const) : ([400, 'Bad Request'] as const);
      const answer = refusal(status, reason, tooLarge ? 'too-large' : 'bad-request', { close: true });
      return this.#answer(session, undefined, answer);
    }
    session.requests++;
    const request = parseRequest(result.head);
    if ('status' in request) {
      const name = request.status === 501 ? 'not-implemented' : 'bad-request';
      // Whether a body follows cannot be known.
      return this.#answer(session, undefined, refusal(request.status, request.reason, name, { close: true }));
    }
    session.requestedAtMs = this.#options.now();
    session.answer = 'other';
    try {
      return await this.#serveTarget(session, request);
    } finally {
      this.#options.counters.requestTook[session.answer].observe(this.#secondsSince(session));
    }
  }

  async #serveTarget(session: Session, request: HttpRequest): Promise<boolean> {
    const { library } = this.#options;
    const { target } = request;
    switch (target.kind) {
      case 'index': {
        const answer = await library.byIndex(target.index);
        const mismatch = answer.kind === 'found' && answer.file.name !== target.name;
        if (mismatch) return this.#answer(session, request, refusal(404, 'File index/name mismatch', 'not-found'));
        return this.#serveFound(session, request, answer);
      }
      case 'urn':
        return this.#serveFound(session, request, await library.bySha1(target.sha1));
      case 'browse':
        return this.#serveBrowse(session, request);
      case 'robots':
        return this.#answer(session, request, {
          status: 200,
          reason: 'OK',
          result: 'ok',
          body: 'User-agent: *\nDisallow: /\n',
          contentType: 'text/plain',
        });
      case 'push-proxy':
        return this.#answer(session, request, await this.#proxied(session, target.parameters, request));
      case 'unsupported':
        return this.#answer(session, request, refusal(501, 'Not Implemented', 'not-implemented'));
      case 'unknown':
        return this.#answer(session, request, refusal(404, 'Not Found', 'not-found'));
      case 'bad':
        return this.#answer(session, request, refusal(400, target.reason, 'bad-request'));
    }
  }

  async #serveFound(session: Session, request: HttpRequest, answer: LibraryAnswer): Promise<boolean> {
    if (answer.kind === 'not-shared') return this.#answer(session, request, refusal(404, 'Not Shared', 'not-found'));
    const retry = [`Retry-After: ${UNAVAILABLE_RETRY_S}`];
    if (answer.kind === 'away') {
      const away = { headers: retry, uploadRefusal: 'library-away' } as const;
      return this.#answer(session, request, refusal(503, 'Library being rebuilt', 'busy', away));
    }
    const { file } = answer;
    const named = request.headers.get('x-gnutella-content-urn') ?? request.headers.get('x-content-urn');
    if (named !== undefined && !namesFile(named, file.sha1)) {
      return this.#answer(session, request, refusal(404, 'URN mismatch', 'not-found'));
    }
    const range = resolveRange(request.headers.get('range'), file.sizeBytes);
    if (range.kind === 'malformed') return this.#answer(session, request, refusal(400, 'Bad Range', 'bad-request'));
    if (range.kind === 'unsatisfiable') {
      const headers = [`Content-Range: bytes */${file.sizeBytes}`, ...identityOf(file)];
      return this.#answer(session, request, refusal(416, 'Range Not Satisfiable', 'bad-range', { headers }));
    }
    const opened = await openSharedFile(file, this.#options.shareFolders);
    if (opened.kind === 'changed') {
      const changed = { headers: retry, uploadRefusal: 'file-changed' } as const;
      return this.#answer(session, request, refusal(503, 'SHA1 is being recomputed', 'busy', changed));
    }
    if (opened.kind !== 'open') return this.#answer(session, request, refusal(404, 'Not Shared', 'not-found'));
    try {
      const whole = { first: 0, last: file.sizeBytes - 1 };
      return await this.#serveFile(session, request, {
        file,
        handle: opened.handle,
        span: range.kind === 'span' ? range.span : whole,
        partial: range.kind === 'span',
      });
    } finally {
      await opened.handle.close();
    }
  }

  async #serveFile(session: Session, request: HttpRequest, body: FileBody): Promise<boolean> {
    const { slots, counters, bandwidth } = this.#options;
    const { connection } = session;
    const { file, span, partial } = body;
    if (request.method === 'GET') {
      const refused = this.#askSlot(session, request, file);
      if (refused !== undefined) return this.#answer(session, request, refused);
    }
    const keep = this.#keeps(session, request);
    const length = span.last - span.first + 1;
    const head = responseHead(partial ? 206 : 200, partial ? 'Partial Content' : 'OK', [
      'Content-Type: application/octet-stream',
      `Content-Length: ${length}`,
      ...(partial ? [`Content-Range: bytes ${span.first}-${span.last}/${file.sizeBytes}`] : []),
      'Accept-Ranges: bytes',
      ...identityOf(file),
      ...this.#commonHeaders(session, keep),
    ]);
    counters.requests[partial ? 'partial' : 'ok']++;
    const stallMs = this.#options.sendStallMs ?? SEND_STALL_MS;
    if (!(await connection.write(head, stallMs))) return false;
    if (request.method === 'HEAD') return keep;
    const upload: Upload = {
      connection,
      userAgent: (request.headers.get('user-agent') ?? '').slice(0, 100),
      file,
      span,
      sentBytes: 0,
      startedAtMs: this.#options.wallClock(),
      pushed: session.pushed,
    };
    this.#uploads.add(upload);
    const traced = startSpan('upload', {
      trace: 'by-ratio',
      kind: 'server',
      attributes: { partial, pushed: session.pushed },
    });
    let result: 'sent' | 'cut' | 'failed' = 'failed';
    session.answer = 'file';
    try {
      const sent = await sendFile(connection, body, bandwidth, stallMs, {
        begun: () => counters.uploadFirstByte.observe(this.#secondsSince(session)),
        sent: (bytes) => {
          upload.sentBytes += bytes;
          counters.uploadedBytes += bytes;
        },
      });
      result = sent ? 'sent' : 'cut';
      if (!sent) connection.destroy();
      return sent && keep;
    } finally {
      traced.setAttributes({ result, bytes: upload.sentBytes });
      traced.end();
      this.#uploads.delete(upload);
      slots.done(connection);
    }
  }

  /** Takes a slot, or says what to answer instead. */
  #askSlot(session: Session, request: HttpRequest, file: LibraryFile): Answer | undefined {
    const { connection } = session;
    const queueing = queueingOf(request.headers);
    const ip = connection.remote.host;
    const answer = this.#options.slots.ask({
      connection,
      ip: limitKey(ip),
      limited: this.#options.isLimited(ip),
      fileKey: formatSha1Urn(file.sha1),
      queueing,
      ticket: ticketOf(request.headers),
    });
    if (answer.kind === 'granted') return undefined;
    if (answer.kind === 'refused') {
      const { reason: uploadRefusal } = answer;
      const headers = [`Retry-After: ${answer.retryAfterS}`];
      if (uploadRefusal === 'same-file')
        return refusal(409, 'File already being sent to you', 'same-file', { headers, uploadRefusal });
      // Who polls too early is sent away: the connection is its place.
      return refusal(503, 'Busy', 'busy', { headers, uploadRefusal, close: uploadRefusal === 'too-early' });
    }
    const { place } = answer;
    const waitS = queueing === 'legacy' ? place.pollMaxS : place.retryAfterS;
    // The client may keep its connection while it waits.
    session.nextRequestTimeoutMs = Math.max(this.#requestTimeoutMs, waitS * 1_000 + POLL_GRACE_MS);
    session.errors--;
    const headers = queueHeaders(place);
    return refusal(503, 'Queued', 'busy', { headers, uploadRefusal: 'queued', close: queueing === 'none' });
  }

  #proxied({ connection }: Session, parameters: string, { headers }: HttpRequest): Promise<Answer> {
    return this.#options.pushProxy.answer(connection.remote, parameters, headers);
  }

  async #serveBrowse(session: Session, request: HttpRequest): Promise<boolean> {
    const { connection } = session;
    const type = browseType(request.headers.get('accept'));
    if (type === undefined) return this.#answer(session, request, refusal(406, 'Not Acceptable', 'not-acceptable'));
    const ip = connection.remote.host;
    if (request.method === 'GET' && this.#options.isLimited(ip) && !this.#browses.admit(limitKey(ip))) {
      const headers = [`Retry-After: ${HOUR_MS / 1_000}`];
      return this.#answer(session, request, refusal(429, 'Browsing too often', 'too-often', { headers }));
    }
    const keep = this.#keeps(session, request) && request.isHttp11;
    const head = responseHead(200, 'OK', [
      `Content-Type: ${type === 'packets' ? PACKETS_TYPE : 'text/html; charset=utf-8'}`,
      ...(request.isHttp11 ? ['Transfer-Encoding: chunked'] : []),
      ...this.#commonHeaders(session, keep),
    ]);
    this.#options.counters.requests.ok++;
    const stallMs = this.#options.sendStallMs ?? SEND_STALL_MS;
    if (!(await connection.write(head, stallMs))) return false;
    if (request.method === 'HEAD') return keep;
    for await (const piece of browseBody(this.#options.library, type)) {
      const bytes = request.isHttp11
        ? Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
        : piece;
      if (!(await connection.write(bytes, stallMs))) return false;
      this.#options.counters.uploadedBytes += piece.length;
    }
    return (!request.isHttp11 || (await connection.write('0\r\n\r\n', stallMs))) && keep;
  }

  async #answer(session: Session, request: HttpRequest | undefined, answer: Answer): Promise<boolean> {
    const { connection } = session;
    if (answer.status >= 400) session.errors++;
    const keep = request !== undefined && answer.close !== true && this.#keeps(session, request);
    const body = answer.body ?? '';
    const head = responseHead(answer.status, answer.reason, [
      `Content-Type: ${answer.contentType ?? 'text/plain'}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(answer.headers ?? []),
      ...this.#commonHeaders(session, keep),
    ]);
    const { requests, uploadsRefused } = this.#options.counters;
    requests[answer.result]++;
    if (answer.uploadRefusal !== undefined) uploadsRefused[answer.uploadRefusal]++;
    const text = request?.method === 'HEAD' ? head : head + body;
    return (await connection.write(text, this.#options.sendStallMs ?? SEND_STALL_MS)) && keep;
  }

  /** Since its present request. */
  #secondsSince(session: Session): number {
    return (this.#options.now() - session.requestedAtMs) / 1_000;
  }

  #keeps(session: Session, request: HttpRequest): boolean {
    const used = session.errors >= MAX_ERRORS_PER_CONNECTION || session.requests >= MAX_REQUESTS_PER_CONNECTION;
    return request.keepAlive && !used && !this.#draining;
  }

  #commonHeaders(session: Session, keep: boolean): string[] {
    const first = session.requests <= 1 ? this.#introduction(session) : [];
    return [...first, `Connection: ${keep ? 'keep-alive' : 'close'}`];
  }

  /** Who we are, told with the first response of a connection (docs/protocol/08-push-and-transfers.md §4.2). */
  #introduction({ connection, pushed }: Session): string[] {
    const guid = this.#options.serventGuid();
    const own = pushed ? this.#options.ownAddress() : undefined;
    return [
      FEATURES,
      `X-Remote-IP: ${connection.remote.host}`,
      ...(guid === undefined ? [] : [`X-GUID: ${guidToHex(guid)}`]),
      // Whoever sent a PUSH may come by itself the next time.
      ...(own === undefined ? [] : [`X-Host: ${formatPeerAddress(own)}`]),
    ];
  }
}

function identityOf(file: LibraryFile): string[] {
  return [`X-Gnutella-Content-URN: ${formatSha1Urn(file.sha1)}`];
}

/** Whether a header that may list several URNs names this file, or at least no other SHA-1. */
function namesFile(header: string, sha1: Sha1): boolean {
  const named = header.split(',').flatMap((urn) => parseSha1Urn(urn.trim()) ?? []);
  return named.length === 0 || named.some((other) => Buffer.compare(other, sha1) === 0);
}
