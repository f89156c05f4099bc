// What a source answers (docs/protocol/08-push-and-transfers.md §4.1, §4.2).
import { parseSha1Urn, type Sha1 } from '@filbert/gnutella';
import type { BlameReason } from '../counters.ts';
import { parseContentRange } from '../http/byte-range.ts';
import type { MessageHead } from '../network/message-head.ts';
import { parseLegacyQueue, parseQueued } from '../slots/queue-headers.ts';
import type { Range } from './range-set.ts';
import { MIN_RETRY_MS } from './source.ts';

/** The most bytes of an error's body that are read to keep a connection. */
export const MAX_ERROR_BODY_BYTES = 64 * 1024;

export type SourceAnswer =
  /** A body of `span` follows; `unread` says that more follows it than was asked for. */
  | {
      readonly kind: 'body';
      readonly span: Range;
      readonly total: number | undefined;
      readonly keepAlive: boolean;
      readonly unread: boolean;
    }
  /** Wait and ask again: on the same connection where `keepAlive`. */
  | {
      readonly kind: 'queued';
      readonly position: number;
      readonly ticket: string | undefined;
      readonly waitMs: number;
      readonly keepAlive: boolean;
      readonly bodyBytes: number;
    }
  | { readonly kind: 'fault'; readonly reason: BlameReason; readonly retryAfterMs: number | undefined };

export interface AskedFor {
  readonly sha1: Sha1;
  readonly range: Range;
  /** The file is a web page itself. */
  readonly isHtml: boolean;
}

/** Judges the head of a response to a request for a range. */
export function judgeResponse({ startLine, headers }: MessageHead, asked: AskedFor): SourceAnswer {
  const match = /^HTTP\/(\d)\.(\d) +(\d{3})(?: .*)?$/i.exec(startLine);
  if (match === null) return fault('bad-response');
  const status = Number(match[3]);
  const connection = (headers.get('connection') ?? '').toLowerCase();
  const isHttp11 = match[1] === '1' && match[2] !== '0';
  const keepAlive = isHttp11 ? !connection.includes('close') : connection.includes('keep-alive');
  if (status === 200 || status === 206) return judgeBody(status, headers, asked, keepAlive);
  const retryAfterMs = retryAfter(headers);
  if (status === 503) return queuedAnswer(headers, keepAlive, retryAfterMs) ?? fault('busy', retryAfterMs);
  if (status === 404 || status === 410) return fault('not-found');
  if (status === 401 || status === 403) return fault('forbidden');
  if (status === 409 || status === 429) return fault('busy', retryAfterMs);
  return fault('bad-status', retryAfterMs);
}

function judgeBody(
  status: number,
  headers: ReadonlyMap<string, string>,
  asked: AskedFor,
  keepAlive: boolean,
): SourceAnswer {
  if (/^\s*text\/html\b/i.test(headers.get('content-type') ?? '') && !asked.isHtml) return fault('html');
  if (headers.has('transfer-encoding')) return fault('bad-response');
  if (!/^(identity)?$/i.test(headers.get('content-encoding')?.trim() ?? '')) return fault('bad-response');
  if (namesAnotherFile(headers, asked.sha1)) return fault('wrong-urn');
  const lengthText = headers.get('content-length');
  const length = lengthText === undefined ? undefined : /^\d{1,15}$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (Number.isNaN(length)) return fault('bad-response');
  return status === 206 ? judgePartial(headers, length, asked, keepAlive) : judgeWhole(length, asked, keepAlive);
}

function judgePartial(
  headers: ReadonlyMap<string, string>,
  length: number | undefined,
  { range }: AskedFor,
  keepAlive: boolean,
): SourceAnswer {
  const content = parseContentRange(headers.get('content-range') ?? '');
  if (content === undefined) return fault('wrong-range');
  const span = { start: content.span.first, end: content.span.last + 1 };
  // Less than asked is allowed, anything else is not.
  if (span.start < range.start || span.end > range.end) return fault('wrong-range');
  if (length !== undefined && length !== span.end - span.start) return fault('wrong-range');
  return { kind: 'body', span, total: content.total, keepAlive, unread: false };
}

function judgeWhole(length: number | undefined, { range }: AskedFor, keepAlive: boolean): SourceAnswer {
  // The whole file although a range was asked for: only its beginning is of use.
  if (length === undefined) return fault('bad-response');
  if (range.start !== 0) return fault('wrong-range');
  // Nobody asks for a range of the empty file: its hash says that it is empty.
  if (length === 0) return fault('wrong-size');
  const end = Math.min(length, range.end);
  return {
    kind: 'body',
    span: { start: 0, end },
    total: length,
    keepAlive: keepAlive && end === length,
    unread: end < length,
  };
}

function queuedAnswer(
  headers: ReadonlyMap<string, string>,
  keepAlive: boolean,
  retryAfterMs: number | undefined,
): SourceAnswer | undefined {
  const length = headers.get('content-length') ?? '0';
  const bodyBytes = /^\d{1,9}$/.test(length) ? Number(length) : Number.POSITIVE_INFINITY;
  const stays = keepAlive && bodyBytes <= MAX_ERROR_BODY_BYTES && !headers.has('transfer-encoding');
  const parq = parseQueued(headers.get('x-queued') ?? '');
  if (parq !== undefined && retryAfterMs !== undefined) {
    const { position, id } = parq;
    const waitMs = Math.max(MIN_RETRY_MS, retryAfterMs);
    return { kind: 'queued', position, ticket: id, waitMs, keepAlive: stays, bodyBytes };
  }
  const legacy = parseLegacyQueue(headers.get('x-queue') ?? '');
  if (legacy === undefined) return undefined;
  const middleMs = ((legacy.pollMinS + Math.min(legacy.pollMaxS, legacy.pollMinS + 30)) / 2) * 1_000;
  const waitMs = Math.max(MIN_RETRY_MS, middleMs);
  return { kind: 'queued', position: legacy.position, ticket: undefined, waitMs, keepAlive: stays, bodyBytes };
}

function namesAnotherFile(headers: ReadonlyMap<string, string>, sha1: Sha1): boolean {
  const header = headers.get('x-gnutella-content-urn') ?? headers.get('x-content-urn') ?? '';
  const named = header.split(',', 16).flatMap((urn) => parseSha1Urn(urn.trim()) ?? []);
  return named.length > 0 && !named.some((other) => Buffer.compare(other, sha1) === 0);
}

function retryAfter(headers: ReadonlyMap<string, string>): number | undefined {
  const text = headers.get('retry-after')?.trim() ?? '';
  return /^\d{1,7}$/.test(text) ? Number(text) * 1_000 : undefined;
}

function fault(reason: BlameReason, retryAfterMs?: number): SourceAnswer {
  return { kind: 'fault', reason, retryAfterMs };
}
