// An HTTP client that sends the bytes it is given, and a server that answers with the bytes it is given.
import { connect, createServer, type Socket } from 'node:net';
import { onCleanUp } from './worker.ts';

const TIMEOUT_MS = 5_000;

export interface RawResponse {
  readonly startLine: string;
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** One connection to a server. */
export class RawHttp {
  readonly socket: Socket;
  #held = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#held = Buffer.concat([this.#held, bytes]);
      this.#wake?.();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
    onCleanUp(() => {
      socket.destroy();
    });
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawHttp> {
    const socket = connect(port, host);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    return new RawHttp(socket);
  }

  send(text: string | Uint8Array): void {
    if (typeof text === 'string') this.socket.write(text, 'latin1');
    else this.socket.write(text);
  }

  /** Sends a request and reads its response. */
  async ask(request: string, options: { readonly head?: boolean } = {}): Promise<RawResponse> {
    this.send(request);
    return this.response(options);
  }

  /** Reads one response; a body by its length, by chunks or up to the end. */
  async response({ head = false }: { readonly head?: boolean } = {}): Promise<RawResponse> {
    const text = (await this.until((held) => indexAfter(held, '\r\n\r\n'))).toString('latin1');
    const [startLine = '', ...lines] = text.trimEnd().split('\r\n');
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const status = Number(startLine.split(' ')[1]);
    return { startLine, status, headers, body: head ? Buffer.alloc(0) : await this.#body(headers) };
  }

  /** Whatever comes until the server closes. */
  async rest(): Promise<Buffer> {
    await this.#wait(() => this.#ended);
    return this.#held;
  }

  async closed(): Promise<void> {
    await this.#wait(() => this.#ended);
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Takes what `measure` finds complete: it returns a length, or undefined for more. */
  async until(measure: (held: Buffer) => number | undefined): Promise<Buffer> {
    await this.#wait(() => this.#ended || measure(this.#held) !== undefined);
    const length = measure(this.#held);
    if (length === undefined)
      throw new Error(`the connection ended after ${JSON.stringify(this.#held.toString('latin1'))}`);
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  async #body(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    const length = headers.get('content-length');
    if (length !== undefined) return this.until((held) => (held.length >= Number(length) ? Number(length) : undefined));
    if (headers.get('transfer-encoding') !== 'chunked') return this.rest();
    const pieces: Buffer[] = [];
    for (;;) {
      const size = parseInt((await this.until((held) => indexAfter(held, '\r\n'))).toString('latin1'), 16);
      const chunk = await this.until((held) => (held.length >= size + 2 ? size + 2 : undefined));
      if (size === 0) return Buffer.concat(pieces);
      pieces.push(chunk.subarray(0, size));
    }
  }

  async #wait(done: () => boolean): Promise<void> {
    const deadline = Date.now() + TIMEOUT_MS;
    while (!done()) {
      if (Date.now() > deadline)
        throw new Error(`raw http: nothing after ${JSON.stringify(this.#held.toString('latin1', 0, 200))}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function indexAfter(held: Buffer, text: string): number | undefined {
  const at = held.indexOf(text);
  return at < 0 ? undefined : at + text.length;
}

/** A request that reached a raw server. */
export interface SeenRequest {
  readonly text: string;
  /** Of its Range header. */
  readonly first: number;
  readonly last: number;
}

export interface RawServer {
  readonly port: number;
  readonly requests: SeenRequest[];
  connections: number;
}

/** A server that answers each request as `answer` says; it may do anything to the socket. */
export async function startRawServer(answer: (request: SeenRequest, socket: Socket) => void): Promise<RawServer> {
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const state = { port: 0, requests, connections: 0 };
  const server = createServer((socket) => {
    state.connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    let held = '';
    socket.on('data', (bytes: Buffer) => {
      held += bytes.toString('latin1');
      for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
        const text = held.slice(0, end);
        held = held.slice(end + 4);
        const range = /^range: bytes=(\d+)-(\d+)/im.exec(text);
        const request = { text, first: Number(range?.[1] ?? 0), last: Number(range?.[2] ?? 0) };
        requests.push(request);
        answer(request, socket);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanUp(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  state.port = typeof address === 'object' && address !== null ? address.port : 0;
  return state;
}

/** Sends the part of `content` that a request asked for, as a good source would. */
export function sendRange(content: Buffer, { first, last }: SeenRequest, socket: Socket, headers = ''): void {
  const end = Math.min(last + 1, content.length);
  const body = content.subarray(first, end);
  socket.write(
    `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${first}-${end - 1}/${content.length}\r\n` +
      `Content-Length: ${body.length}\r\n${headers}\r\n`,
  );
  socket.write(body);
}
