import { formatSha1Urn, limitKey, parseSha1Urn, type Sha1 } from '@filbert/gnutella';
import { startSpan } from '@filbert/kit';
import type { TransfersCounters } from '../counters.ts';
import type { LibraryAnswer, LibraryFile } from '../library.ts';
import type { Connection } from '../network/connection.ts';
import { queueHeaders, queueingOf, ticketOf } from '../slots/queue-headers.ts';
import { FAIR_SHARE_MS, type UploadSlots } from '../slots/upload-slots.ts';
import type { Bandwidth } from './bandwidth.ts';
import { resolveRange, type ByteSpan } from './byte-range.ts';
import type { HttpSession } from './http-session.ts';
import type { HttpRequest } from './request.ts';
import { refusal, responseHead, type Answer } from './response.ts';
import { sendFile, type FileBody } from './send-file.ts';
import { openSharedFile } from './shared-file.ts';

const UNAVAILABLE_RETRY_S = 60;
/** A peer that has had its fair share of time, and took less than this of it, makes room for those who wait, in bytes a second. */
export const LEAST_SHARED_RATE = 1024;

export interface FileUploadsOptions {
  readonly slots: UploadSlots;
  readonly bandwidth: Bandwidth;
  readonly counters: TransfersCounters;
  /** Folders that files may lie in. */
  readonly shareFolders: readonly string[];
  /** Whether the limits per address apply to this one. */
  readonly isLimited: (ip: string) => boolean;
  /** ms since 1970 */
  readonly wallClock: () => number;
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

/** Sends shared files, whole or in part, to who has a slot (docs/protocol/08 §4 and §5). */
export class FileUploads {
  readonly #options: FileUploadsOptions;
  readonly #active = new Set<Upload>();

  constructor(options: FileUploadsOptions) {
    this.#options = options;
  }

  get active(): ReadonlySet<Upload> {
    return this.#active;
  }

  /** Whether one goes over this connection. */
  isSending(connection: Connection): boolean {
    return [...this.#active].some((upload) => upload.connection === connection);
  }

  /** Serves what the library answered. @returns whether the connection goes on */
  async serve(session: HttpSession, request: HttpRequest, answer: LibraryAnswer): Promise<boolean> {
    if (answer.kind === 'not-shared') return session.answer(request, refusal(404, 'Not Shared', 'not-found'));
    const retry = [`Retry-After: ${UNAVAILABLE_RETRY_S}`];
    if (answer.kind === 'away') {
      const away = { headers: retry, uploadRefusal: 'library-away' } as const;
      return session.answer(request, refusal(503, 'Library being rebuilt', 'busy', away));
    }
    const { file } = answer;
    const named = request.headers.get('x-gnutella-content-urn') ?? request.headers.get('x-content-urn');
    if (named !== undefined && !namesFile(named, file.sha1)) {
      return session.answer(request, refusal(404, 'URN mismatch', 'not-found'));
    }
    const range = resolveRange(request.headers.get('range'), file.sizeBytes);
    if (range.kind === 'malformed') return session.answer(request, refusal(400, 'Bad Range', 'bad-request'));
    if (range.kind === 'unsatisfiable') {
      const headers = [`Content-Range: bytes */${file.sizeBytes}`, ...identityOf(file)];
      return session.answer(request, refusal(416, 'Range Not Satisfiable', 'bad-range', { headers }));
    }
    const opened = await openSharedFile(file, this.#options.shareFolders);
    if (opened.kind === 'changed') {
      const changed = { headers: retry, uploadRefusal: 'file-changed' } as const;
      return session.answer(request, refusal(503, 'SHA1 is being recomputed', 'busy', changed));
    }
    if (opened.kind !== 'open') return session.answer(request, refusal(404, 'Not Shared', 'not-found'));
    try {
      const whole = { first: 0, last: file.sizeBytes - 1 };
      return await this.#send(session, request, {
        file,
        handle: opened.handle,
        span: range.kind === 'span' ? range.span : whole,
        partial: range.kind === 'span',
      });
    } finally {
      await opened.handle.close();
    }
  }

  async #send(session: HttpSession, request: HttpRequest, body: FileBody): Promise<boolean> {
    const { slots, counters, bandwidth } = this.#options;
    const { connection, pushed } = session;
    const { file, span, partial } = body;
    if (request.method === 'GET') {
      const refused = this.#askSlot(session, request, file);
      if (refused !== undefined) return session.answer(request, refused);
    }
    const keep = session.keeps(request);
    const head = responseHead(partial ? 206 : 200, partial ? 'Partial Content' : 'OK', [
      'Content-Type: application/octet-stream',
      `Content-Length: ${span.last - span.first + 1}`,
      ...(partial ? [`Content-Range: bytes ${span.first}-${span.last}/${file.sizeBytes}`] : []),
      'Accept-Ranges: bytes',
      ...identityOf(file),
      ...session.commonHeaders(keep),
    ]);
    counters.requests[partial ? 'partial' : 'ok']++;
    if (!(await session.write(head))) return false;
    if (request.method === 'HEAD') return keep;
    const upload: Upload = {
      connection,
      userAgent: (request.headers.get('user-agent') ?? '').slice(0, 100),
      file,
      span,
      sentBytes: 0,
      startedAtMs: this.#options.wallClock(),
      pushed,
    };
    this.#active.add(upload);
    const traced = startSpan('upload', { trace: 'by-ratio', kind: 'server', attributes: { partial, pushed } });
    let result: 'sent' | 'cut' | 'failed' = 'failed';
    session.served = 'file';
    try {
      const sent = await sendFile(connection, body, bandwidth, session.sendStallMs, {
        begun: () => counters.uploadFirstByte.observe(session.tookSeconds),
        sent: (bytes) => {
          upload.sentBytes += bytes;
          counters.uploadedBytes += bytes;
          return !isTooSlow(upload.sentBytes, session.tookSeconds, slots.queued);
        },
      });
      result = sent ? 'sent' : 'cut';
      if (!sent) connection.destroy();
      return sent && keep;
    } finally {
      traced.setAttributes({ result, bytes: upload.sentBytes });
      traced.end();
      this.#active.delete(upload);
      slots.done(connection);
    }
  }

  /** Takes a slot, or says what to answer instead. */
  #askSlot(session: HttpSession, request: HttpRequest, file: LibraryFile): Answer | undefined {
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
    session.letWait(queueing === 'legacy' ? place.pollMaxS : place.retryAfterS);
    const headers = queueHeaders(place);
    return refusal(503, 'Queued', 'busy', { headers, uploadRefusal: 'queued', close: queueing === 'none' });
  }
}

/** Whether an upload keeps its slot from others by taking next to nothing: a response is as long as the peer likes. */
export function isTooSlow(sentBytes: number, seconds: number, waiting: number): boolean {
  return waiting > 0 && seconds > FAIR_SHARE_MS / 1_000 && sentBytes < seconds * LEAST_SHARED_RATE;
}

function identityOf(file: LibraryFile): string[] {
  return [`X-Gnutella-Content-URN: ${formatSha1Urn(file.sha1)}`];
}

/** Whether a header that may list several URNs names this file, or at least no other SHA-1. */
function namesFile(header: string, sha1: Sha1): boolean {
  const named = header.split(',').flatMap((urn) => parseSha1Urn(urn.trim()) ?? []);
  return named.length === 0 || named.some((other) => Buffer.compare(other, sha1) === 0);
}
