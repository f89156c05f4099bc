import type { LibraryLookup } from '../library.ts';
import type { Connection } from '../network/connection.ts';
import { FileUploads, type FileUploadsOptions, type Upload } from './file-uploads.ts';
import { HttpSession, type HttpSessionOptions } from './http-session.ts';
import { Listings, type ListingsOptions } from './listings.ts';
import type { PushProxyServer } from './push-proxy.ts';
import { parseRequest, type HttpRequest } from './request.ts';
import { refusal } from './response.ts';

export interface UploadServerOptions extends HttpSessionOptions, FileUploadsOptions, ListingsOptions {
  readonly library: LibraryLookup;
  readonly pushProxy: PushProxyServer;
}

/** Serves files and listings over connections that others accepted or opened. */
export class UploadServer {
  readonly #options: UploadServerOptions;
  readonly #files: FileUploads;
  readonly #listings: Listings;
  readonly #sessions = new Set<HttpSession>();
  #draining = false;

  constructor(options: UploadServerOptions) {
    this.#options = options;
    this.#files = new FileUploads(options);
    this.#listings = new Listings(options);
  }

  get uploads(): ReadonlySet<Upload> {
    return this.#files.active;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Serves requests one after the other until either side ends the connection. Never rejects. */
  async serve(connection: Connection, pushed: boolean): Promise<void> {
    const { slots } = this.#options;
    const session = new HttpSession(connection, pushed, this.#options);
    if (this.#draining) session.end();
    this.#sessions.add(session);
    connection.onClose(() => slots.closed(connection));
    try {
      while (await this.#serveOne(session)) if (this.#draining) break;
      await connection.end();
    } catch {
      // A disk that fails in the middle of a file: the peer sees a short body.
      connection.destroy();
    } finally {
      slots.closed(connection);
      this.#sessions.delete(session);
    }
  }

  /** Lets uploads under way end with their present range and takes no further request. */
  drain(): void {
    this.#draining = true;
    for (const session of this.#sessions) {
      session.end();
      if (!this.#files.isSending(session.connection)) session.connection.destroy();
    }
  }

  stop(): void {
    this.#draining = true;
    for (const { connection } of this.#sessions) connection.destroy();
  }

  /** @returns whether the connection goes on */
  async #serveOne(session: HttpSession): Promise<boolean> {
    const result = await session.readHead();
    if (result.kind === 'ended') return false;
    if (result.kind === 'timeout') {
      if (result.begun) await session.answer(undefined, refusal(408, 'Request Timeout', 'timeout', { close: true }));
      return false;
    }
    if (result.kind === 'refused') {
      const tooLarge = result.reason === 'too-large';
      const [status, reason] = tooLarge ? ([413, 'Header Too Large'] as const) : ([400, 'Bad Request'] as const);
      const answer = refusal(status, reason, tooLarge ? 'too-large' : 'bad-request', { close: true });
      return session.answer(undefined, answer);
    }
    session.countRequest();
    const request = parseRequest(result.head);
    if ('status' in request) {
      const name = request.status === 501 ? 'not-implemented' : 'bad-request';
      // Whether a body follows cannot be known.
      return session.answer(undefined, refusal(request.status, request.reason, name, { close: true }));
    }
    session.begin();
    try {
      return await this.#serveTarget(session, request);
    } finally {
      this.#options.counters.requestTook[session.served].observe(session.tookSeconds);
    }
  }

  async #serveTarget(session: HttpSession, request: HttpRequest): Promise<boolean> {
    const { library, pushProxy } = this.#options;
    const { target } = request;
    switch (target.kind) {
      case 'index': {
        const answer = await library.byIndex(target.index);
        const mismatch = answer.kind === 'found' && answer.file.name !== target.name;
        if (mismatch) return session.answer(request, refusal(404, 'File index/name mismatch', 'not-found'));
        return this.#files.serve(session, request, answer);
      }
      case 'urn':
        return this.#files.serve(session, request, await library.bySha1(target.sha1));
      case 'browse':
        return this.#listings.serve(session, request);
      case 'robots':
        return session.answer(request, {
          status: 200,
          reason: 'OK',
          result: 'ok',
          body: 'User-agent: *\nDisallow: /\n',
          contentType: 'text/plain',
        });
      case 'push-proxy': {
        const { remote } = session.connection;
        return session.answer(request, await pushProxy.answer(remote, target.parameters, request.headers));
      }
      case 'unsupported':
        return session.answer(request, refusal(501, 'Not Implemented', 'not-implemented'));
      case 'unknown':
        return session.answer(request, refusal(404, 'Not Found', 'not-found'));
      case 'bad':
        return session.answer(request, refusal(400, target.reason, 'bad-request'));
    }
  }
}
