// X-Queue, X-Queued and Retry-After (docs/protocol/08-push-and-transfers.md §6).
import type { QueuePlace, Queueing } from './queue-place.ts';

const MAX_TICKET_CHARS = 64;
const FIRST_RETRY_S = 30;
const RETRY_STEP_S = 20;
const LAST_STEPPED_POSITION = 20;
const FAR_RETRY_S = 600;

/** A place in an upload queue as a server tells it. Times are seconds. */
export interface QueuedStatus {
  readonly position: number;
  readonly length: number | undefined;
  readonly etaS: number | undefined;
  readonly lifetimeS: number | undefined;
  /** Lower case. */
  readonly id: string;
}

/** A place in a queue of the old kind: ask again on the same connection between the two times. */
export interface LegacyQueueStatus {
  readonly position: number;
  readonly length: number | undefined;
  readonly limit: number | undefined;
  readonly pollMinS: number;
  readonly pollMaxS: number;
}

/** Seconds after which a PARQ client at this position (from 1) shall come back. */
export function parqRetrySeconds(position: number): number {
  return position > LAST_STEPPED_POSITION ? FAR_RETRY_S : FIRST_RETRY_S + RETRY_STEP_S * (position - 1);
}

/** How the client that sent these headers waits. A version of 1 or more is PARQ; any other form of number is the old queue. */
export function queueingOf(headers: ReadonlyMap<string, string>): Queueing {
  const version = /^\s*(\d{1,3})\.\d/.exec(headers.get('x-queue') ?? '');
  if (version === null) return 'none';
  return Number(version[1]) >= 1 ? 'parq' : 'legacy';
}

/** The ID of a request's `X-Queued` header. */
export function ticketOf(headers: ReadonlyMap<string, string>): string | undefined {
  const id = fieldsOf(headers.get('x-queued') ?? '', ';').get('id');
  return id === undefined || id.length > MAX_TICKET_CHARS ? undefined : id.toLowerCase();
}

/** Headers that tell a client its place. */
export function queueHeaders(place: QueuePlace): readonly string[] {
  switch (place.queueing) {
    case 'none':
      return [`Retry-After: ${place.retryAfterS}`];
    case 'legacy':
      return [
        `X-Queue: position=${place.position},length=${place.length},limit=${place.limit},` +
          `pollMin=${place.pollMinS},pollMax=${place.pollMaxS}`,
      ];
    case 'parq':
      return [
        `X-Queued: position=${place.position}; length=${place.length}; ` +
          `lifetime=${place.lifetimeS}; ID=${place.ticket}`,
        `Retry-After: ${place.retryAfterS}`,
      ];
  }
}

/** Reads `X-Queued: position=…; ID=…`; undefined where one of these two is missing or broken. */
export function parseQueued(header: string): QueuedStatus | undefined {
  const fields = fieldsOf(header, ';');
  const position = numberOf(fields, 'position');
  const id = fields.get('id')?.toLowerCase();
  if (position === undefined || id === undefined || id === '' || id.length > MAX_TICKET_CHARS) return undefined;
  return {
    position,
    length: numberOf(fields, 'length'),
    etaS: numberOf(fields, 'eta'),
    lifetimeS: numberOf(fields, 'lifetime'),
    id,
  };
}

/** Reads `X-Queue: position=2,length=5,limit=4,pollMin=45,pollMax=120`; undefined for a version or a broken one. */
export function parseLegacyQueue(header: string): LegacyQueueStatus | undefined {
  const fields = fieldsOf(header, ',');
  const position = numberOf(fields, 'position');
  const pollMinS = numberOf(fields, 'pollmin');
  const pollMaxS = numberOf(fields, 'pollmax');
  if (position === undefined || pollMinS === undefined || pollMaxS === undefined || pollMaxS < pollMinS) {
    return undefined;
  }
  return { position, length: numberOf(fields, 'length'), limit: numberOf(fields, 'limit'), pollMinS, pollMaxS };
}

function fieldsOf(header: string, separator: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const part of header.split(separator, 32)) {
    const equals = part.indexOf('=');
    if (equals > 0) fields.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim());
  }
  return fields;
}

function numberOf(fields: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = fields.get(name) ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
