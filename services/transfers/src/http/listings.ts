import { limitKey } from '@filbert/gnutella';
import type { TransfersCounters } from '../counters.ts';
import type { LibraryLookup } from '../library.ts';
import { AddressWindow } from './address-window.ts';
import { browseBody, browseType, PACKETS_TYPE } from './browse.ts';
import type { HttpSession } from './http-session.ts';
import type { HttpRequest } from './request.ts';
import { refusal, responseHead } from './response.ts';

/** Listings that one address gets in an hour (docs/protocol/08 §7). */
const BROWSES_PER_HOUR = 3;
const HOUR_MS = 3_600_000;

export interface ListingsOptions {
  readonly library: LibraryLookup;
  readonly counters: TransfersCounters;
  /** Whether the limits per address apply to this one. */
  readonly isLimited: (ip: string) => boolean;
  /** ms, never goes back */
  readonly now: () => number;
}

/** Browse host: sends the list of the shared files (docs/protocol/08 §7). */
export class Listings {
  readonly #options: ListingsOptions;
  readonly #browses: AddressWindow;

  constructor(options: ListingsOptions) {
    this.#options = options;
    this.#browses = new AddressWindow(BROWSES_PER_HOUR, HOUR_MS, options.now);
  }

  /** @returns whether the connection goes on */
  async serve(session: HttpSession, request: HttpRequest): Promise<boolean> {
    const { counters, isLimited, library } = this.#options;
    const type = browseType(request.headers.get('accept'));
    if (type === undefined) return session.answer(request, refusal(406, 'Not Acceptable', 'not-acceptable'));
    const ip = session.connection.remote.host;
    if (request.method === 'GET' && isLimited(ip) && !this.#browses.admit(limitKey(ip))) {
      const headers = [`Retry-After: ${HOUR_MS / 1_000}`];
      return session.answer(request, refusal(429, 'Browsing too often', 'too-often', { headers }));
    }
    const keep = session.keeps(request) && request.isHttp11;
    const head = responseHead(200, 'OK', [
      `Content-Type: ${type === 'packets' ? PACKETS_TYPE : 'text/html; charset=utf-8'}`,
      ...(request.isHttp11 ? ['Transfer-Encoding: chunked'] : []),
      ...session.commonHeaders(keep),
    ]);
    counters.requests.ok++;
    if (!(await session.write(head))) return false;
    if (request.method === 'HEAD') return keep;
    for await (const piece of browseBody(library, type)) {
      const bytes = request.isHttp11
        ? Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
        : piece;
      if (!(await session.write(bytes))) return false;
      counters.uploadedBytes += piece.length;
    }
    return (!request.isHttp11 || (await session.write('0\r\n\r\n'))) && keep;
  }
}
