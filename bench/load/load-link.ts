import { connect, type Socket } from 'node:net';
import { formatBlock, parseBlock, roleHeaders, type RawRole } from '../../test/support/raw-handshake.ts';
import { encodeFrame, pongPayload, randomGuid, RAW_DESCRIPTOR, RAW_HEADER_BYTES } from '../../test/support/raw-wire.ts';

/** What one socket read takes at most; one buffer serves all links, since each read is used up at once. */
const READ_BYTES = 64 * 1024;

/** How long a link may take from dialling to the PONG behind its table. */
const JOIN_TIMEOUT_MS = 30_000;

/** The most bytes of an unfinished message or handshake block that a link keeps. */
const MAX_CARRY_BYTES = 128 * 1024;

const readBuffer = Buffer.alloc(READ_BYTES);

/** Takes the queries that a link receives: the link's number, and where the message starts in the buffer. */
export type QueryHandler = (link: number, bytes: Buffer, at: number) => void;

/** How a link is made. */
export interface LoadLinkOptions {
  /** The number given to the handler. */
  number: number;
  role: RawRole;
  host: string;
  port: number;
  onQuery: QueryHandler;
}

/**
 * One link of the load generator: a handshake, then a scan of message headers that hands queries on, answers alive
 * PINGs and skips the rest. It costs one socket, and no object for a message.
 */
export class LoadLink {
  readonly number: number;
  readonly socket: Socket;
  /** Whether the handshake is done and the link is open. */
  open = false;
  /** Whether the generator itself ended it. */
  ending = false;
  readonly #role: RawRole;
  readonly #onQuery: QueryHandler;
  #carry: Buffer | undefined;
  #joining: { resolve: () => void; reject: (error: Error) => void; pongGuid: string; table: Buffer } | undefined;
  #bye = '';

  constructor(options: LoadLinkOptions) {
    this.number = options.number;
    this.#role = options.role;
    this.#onQuery = options.onQuery;
    this.socket = connect({
      host: options.host,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (length, buffer) => {
          this.#take(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    });
    this.socket.on('error', (error) => this.#ended(error.message));
    this.socket.on('close', () => this.#ended('closed'));
    this.socket.write(
      formatBlock('GNUTELLA CONNECT/0.6', roleHeaders(options.role, randomGuid(), options.host, false)),
    );
  }

  /**
   * Joins: shakes hands, sends the table, and waits for the PONG to a PING sent behind it.
   * @throws Error with what the node answered, when it refuses or is silent for 30 s
   */
  async join(table: Buffer): Promise<void> {
    const pongGuid = randomGuid();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#joining = { resolve, reject, pongGuid, table };
      timer = setTimeout(() => reject(new Error(`no answer in ${JOIN_TIMEOUT_MS} ms`)), JOIN_TIMEOUT_MS);
    }).finally(() => clearTimeout(timer));
    this.#joining = undefined;
  }

  /** Ends the link. */
  close(): void {
    this.ending = true;
    this.socket.destroy();
  }

  #ended(reason: string): void {
    this.open = false;
    this.#joining?.reject(new Error(`link ${this.number}: ${reason} ${this.#bye}`.trim()));
  }

  #take(received: Buffer): void {
    const bytes = this.#carry === undefined ? received : Buffer.concat([this.#carry, received]);
    this.#carry = undefined;
    const used = this.open ? this.#scan(bytes, 0) : this.#handshake(bytes);
    if (used === bytes.length) return;
    if (bytes.length - used > MAX_CARRY_BYTES) this.socket.destroy(new Error('a message without end'));
    else this.#carry = Buffer.from(bytes.subarray(used));
  }

  #handshake(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return 0;
    const block = parseBlock(bytes.toString('latin1', 0, end));
    const joining = this.#joining;
    if (block.code !== 200 || joining === undefined) {
      this.#bye = block.line;
      this.socket.destroy();
      return bytes.length;
    }
    this.open = true;
    const ping = { guid: joining.pongGuid, descriptor: RAW_DESCRIPTOR.ping, ttl: 1, hops: 0, payload: Buffer.alloc(0) };
    this.socket.write(
      Buffer.concat([Buffer.from('GNUTELLA/0.6 200 OK\r\n\r\n', 'latin1'), joining.table, encodeFrame(ping)]),
    );
    return this.#scan(bytes, end + 4);
  }

  #scan(bytes: Buffer, start: number): number {
    let at = start;
    while (bytes.length - at >= RAW_HEADER_BYTES) {
      const end = at + RAW_HEADER_BYTES + bytes.readUInt32LE(at + 19);
      if (end > bytes.length) break;
      const descriptor = bytes[at + 16];
      if (descriptor === RAW_DESCRIPTOR.query) this.#onQuery(this.number, bytes, at);
      else if (descriptor === RAW_DESCRIPTOR.ping) this.#answer(bytes, at);
      else if (descriptor === RAW_DESCRIPTOR.pong) this.#pong(bytes, at);
      else if (descriptor === RAW_DESCRIPTOR.bye) this.#bye = bytes.toString('latin1', at + RAW_HEADER_BYTES + 2, end);
      at = end;
    }
    return at;
  }

  /** An alive PING gets one PONG (protocol page 02 §5). */
  #answer(bytes: Buffer, at: number): void {
    if (bytes[at + 17] === 0 || bytes[at + 18] !== 0) return;
    const payload = pongPayload(this.socket.localPort ?? 0, '127.0.0.1', 0, this.#role === 'ultrapeer' ? 8 : 0);
    const guid = bytes.toString('hex', at, at + 16);
    this.socket.write(encodeFrame({ guid, descriptor: RAW_DESCRIPTOR.pong, ttl: 1, hops: 0, payload }));
  }

  #pong(bytes: Buffer, at: number): void {
    if (this.#joining?.pongGuid === bytes.toString('hex', at, at + 16)) this.#joining.resolve();
  }
}
