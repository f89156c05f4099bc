import { connect as connectSocket, createServer, type Socket } from 'node:net';
import {
  formatBlock,
  hasToken,
  parseBlock,
  roleHeaders,
  type HandshakeBlock,
  type HeaderChanges,
  type RawRole,
} from './raw-handshake.ts';
import { RawFrameLog, type FramePredicate } from './raw-frame-log.ts';
import { RawPeerServer } from './raw-peer-server.ts';
import { RawStream } from './raw-stream.ts';
import { RawTable } from './raw-table.ts';
import { RawSender } from './raw-sender.ts';
import {
  encodeFrame,
  guidBehind,
  pongPayload,
  randomGuid,
  shortTokens,
  RAW_DESCRIPTOR,
  type RawFrame,
} from './raw-wire.ts';
import { Signal } from './signal.ts';

/** How long a raw peer waits for a handshake block. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** How long a raw peer waits for a frame, a table or the end unless told otherwise. */
const WAIT_TIMEOUT_MS = 5_000;

/** What both sides of a link can choose. */
export interface RawPeerOptions {
  role: RawRole;
  /** Changes to the headers of the first block that this side sends. */
  headers?: HeaderChanges;
  /** Whether deflate is offered, and used where the node offers it; default false. */
  deflate?: boolean;
  /** 32 hex digits, sent as the GUID header; default random. */
  serventGuid?: string;
  /** Whether alive PINGs are answered; default true. */
  answerPings?: boolean;
  timeoutMs?: number;
}

/** A dial to the node. */
export interface RawConnectOptions extends RawPeerOptions {
  host: string;
  port: number;
  /** The address to dial from. */
  localAddress?: string;
  /** The status line of the third block; default `GNUTELLA/0.6 200 OK`. */
  finalLine?: string;
  /** Changes to the headers of the third block. */
  finalHeaders?: HeaderChanges;
  /** Bytes written together with the third block. */
  glued?: Uint8Array;
}

/** A port where the node is awaited. */
export interface RawListenOptions extends RawPeerOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default a free one. */
  port?: number;
  /** The status line of the second block; default `GNUTELLA/0.6 200 OK`. Others than 2xx end the link after it. */
  statusLine?: string;
}

/**
 * A Gnutella peer over a socket, leaf or ultrapeer, that writes its own bytes: what the end-to-end suite joins a node
 * with. It keeps every frame that it receives and decodes the table that the node sends. All waits are bounded.
 */
export class RawPeer extends RawSender {
  readonly role: RawRole;
  /** 32 hex digits, as said in the handshake. */
  readonly serventGuid: string;
  /** What the node said of itself: its second block when dialled, its first when it dialled. */
  readonly remote: HandshakeBlock;
  /** The block that decided: the node's second when dialled, its third when it dialled. */
  readonly status: HandshakeBlock;
  /** The table that the node sent. */
  readonly table = new RawTable();
  /** The BYE received, if one was. */
  bye: { code: number; text: string } | undefined;
  readonly #stream: RawStream;
  readonly #log = new RawFrameLog();
  readonly #answerPings: boolean;
  readonly #tableChanged = new Signal();

  private constructor(stream: RawStream, role: RawRole, guid: string, blocks: HandshakeBlock[], answerPings: boolean) {
    super(stream);
    this.#stream = stream;
    this.role = role;
    this.serventGuid = guid;
    const [first] = blocks;
    const last = blocks.at(-1);
    if (first === undefined || last === undefined) throw new Error('raw peer: no handshake block');
    this.remote = first;
    this.status = last;
    this.#answerPings = answerPings;
    void stream.closed.then(() => {
      this.#log.fail(new Error(`raw peer: the link is closed, ${this.#ending()}`));
      this.#tableChanged.notify();
    });
  }

  /** Dials the node and shakes hands (protocol page 01 §3). A refusal resolves too: `accepted` tells. */
  static async connect(options: RawConnectOptions): Promise<RawPeer> {
    const { host, port, role, deflate = false, timeoutMs = HANDSHAKE_TIMEOUT_MS, localAddress } = options;
    const guid = options.serventGuid ?? randomGuid();
    const stream = new RawStream(connectSocket({ host, port, ...(localAddress !== undefined && { localAddress }) }));
    try {
      stream.write(formatBlock('GNUTELLA CONNECT/0.6', roleHeaders(role, guid, host, deflate), options.headers ?? {}));
      const block = parseBlock(await stream.readBlock(timeoutMs));
      const peer = new RawPeer(stream, role, guid, [block], options.answerPings ?? true);
      if (!peer.accepted) {
        stream.destroy();
        return peer;
      }
      const deflates = deflate && hasToken(block, 'accept-encoding', 'deflate');
      const finalHeaders = { 'Content-Encoding': deflates ? 'deflate' : null };
      const text = formatBlock(options.finalLine ?? 'GNUTELLA/0.6 200 OK', finalHeaders, options.finalHeaders ?? {});
      stream.write(Buffer.concat([Buffer.from(text, 'latin1'), options.glued ?? Buffer.alloc(0)]));
      peer.#start(hasToken(block, 'content-encoding', 'deflate'), deflates);
      return peer;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  /** Listens for the node's dials. */
  static async listen(options: RawListenOptions): Promise<RawPeerServer<RawPeer>> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
    });
    return new RawPeerServer(server, (socket) => RawPeer.#accept(socket, options));
  }

  static async #accept(socket: Socket, options: RawListenOptions): Promise<RawPeer> {
    const { role, deflate = false, timeoutMs = HANDSHAKE_TIMEOUT_MS } = options;
    const guid = options.serventGuid ?? randomGuid();
    const stream = new RawStream(socket);
    try {
      const request = parseBlock(await stream.readBlock(timeoutMs));
      const deflates = deflate && hasToken(request, 'accept-encoding', 'deflate');
      const statusLine = options.statusLine ?? 'GNUTELLA/0.6 200 OK';
      const headers = {
        ...roleHeaders(role, guid, socket.remoteAddress ?? '127.0.0.1', deflate),
        'Content-Encoding': deflates ? 'deflate' : null,
      };
      stream.write(formatBlock(statusLine, headers, options.headers ?? {}));
      if (!/^\S+ 2\d\d/.test(statusLine)) {
        socket.end();
        return new RawPeer(stream, role, guid, [request, parseBlock(statusLine)], false);
      }
      const final = parseBlock(await stream.readBlock(timeoutMs));
      const peer = new RawPeer(stream, role, guid, [request, final], options.answerPings ?? true);
      if (peer.accepted) peer.#start(hasToken(final, 'content-encoding', 'deflate'), deflates);
      else stream.destroy();
      return peer;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  /** Whether the handshake ended in a link. */
  get accepted(): boolean {
    return this.status.code >= 200 && this.status.code < 300 && this.status.code !== 204;
  }

  get destroyed(): boolean {
    return this.#stream.destroyed;
  }

  /** The address and port that this peer has on its side of the socket. */
  get local(): { ip: string; port: number } {
    const { localAddress, localPort } = this.#stream.socket;
    return { ip: localAddress ?? '', port: localPort ?? 0 };
  }

  /** Takes the next frame that the predicate picks. @throws Error when none comes in time or the link ends */
  next(predicate: FramePredicate, timeoutMs = WAIT_TIMEOUT_MS): Promise<RawFrame> {
    return this.#log.next(predicate, timeoutMs);
  }

  /** Takes the next message of a kind under this GUID. */
  nextOf(kind: keyof typeof RAW_DESCRIPTOR, guid: string, timeoutMs = WAIT_TIMEOUT_MS): Promise<RawFrame> {
    return this.next((frame) => frame.descriptor === RAW_DESCRIPTOR[kind] && frame.guid === guid, timeoutMs);
  }

  /** Every frame so far that the predicate picks, taken or not. */
  all(predicate: FramePredicate): RawFrame[] {
    return this.#log.all(predicate);
  }

  /**
   * Asserts that no untaken frame is picked, once the barrier is through: the barrier must end with the arrival of
   * something that the node sent to this peer after anything that it might have sent wrongly.
   * @throws Error that shows the first frame picked
   */
  async expectNone(predicate: FramePredicate, barrier: () => Promise<unknown>): Promise<void> {
    await barrier();
    const [frame] = this.#log.untaken(predicate);
    if (frame !== undefined) throw new Error(`raw peer: did not expect ${encodeFrame(frame).toString('hex')}`);
  }

  /** A barrier for one link: the node answered a PING sent after everything before (protocol page 02 §5). */
  async pingBarrier(timeoutMs = WAIT_TIMEOUT_MS): Promise<void> {
    await this.nextOf('pong', this.sendPing().guid, timeoutMs);
  }

  /**
   * A barrier through the router: a marker query with words of this peer's table, sent by `source` behind `frame` and
   * routed by the same shard, arrived here. Its text is new each time by words too short to be looked up.
   */
  async markerBarrier(source: RawSender, words: string, frame: RawFrame, timeoutMs = WAIT_TIMEOUT_MS): Promise<void> {
    const marker = source.sendQuery({ guid: guidBehind(frame.guid), text: `${words} ${shortTokens()}` });
    await this.nextOf('query', marker.guid, timeoutMs);
  }

  /**
   * Waits until the node's table for this peer satisfies the condition.
   * @throws Error when it does not in time, or when a patch broke the rules
   */
  async waitTable(condition: (table: RawTable) => boolean, timeoutMs = WAIT_TIMEOUT_MS): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (this.table.errors.length > 0) throw new Error(`raw peer: bad table: ${this.table.errors.join('; ')}`);
      if (condition(this.table)) return;
      if (this.destroyed) throw new Error(`raw peer: the link is closed, ${this.#ending()}`);
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`raw peer: the table did not come to that within ${timeoutMs} ms`);
      await this.#tableChanged.wait(leftMs);
    }
  }

  /** Waits until the node closed the link. @throws Error when it does not in time */
  async waitClosed(timeoutMs = WAIT_TIMEOUT_MS): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`raw peer: still open after ${timeoutMs} ms`)), timeoutMs);
    });
    await Promise.race([this.#stream.closed, late]).finally(() => clearTimeout(timer));
  }

  /** Stops or resumes reading from the socket: a slow reader. */
  setReading(reading: boolean): void {
    if (reading) this.#stream.socket.resume();
    else this.#stream.socket.pause();
  }

  /** Ends the link at once, without BYE. */
  async close(): Promise<void> {
    this.#stream.destroy();
    await this.#stream.closed;
  }

  #start(inflates: boolean, deflates: boolean): void {
    if (deflates) this.#stream.startDeflate();
    this.#stream.startBytes(inflates, (bytes) => {
      for (const frame of this.#log.feed(bytes)) this.#handle(frame);
    });
  }

  #handle(frame: RawFrame): void {
    if (frame.descriptor === RAW_DESCRIPTOR.qrp) {
      this.table.apply(frame.payload);
      this.#tableChanged.notify();
    } else if (frame.descriptor === RAW_DESCRIPTOR.bye && frame.payload.length >= 2) {
      this.bye = {
        code: frame.payload.readUInt16LE(0),
        text: frame.payload.toString('latin1', 2).replace(/\0.*$/s, ''),
      };
    } else if (frame.descriptor === RAW_DESCRIPTOR.ping && frame.hops === 0 && frame.ttl > 0 && this.#answerPings) {
      const { ip, port } = this.local;
      // An ultrapeer's KiB are a power of two of at least 8 (protocol page 02 §6).
      const payload = pongPayload(port, ip, 0, this.role === 'ultrapeer' ? 8 : 0);
      this.sendFrame(RAW_DESCRIPTOR.pong, payload, { guid: frame.guid });
    }
  }

  #ending(): string {
    const bye = this.bye === undefined ? 'without BYE' : `BYE ${this.bye.code} ${JSON.stringify(this.bye.text)}`;
    return this.#stream.error === undefined ? bye : `${bye}, ${this.#stream.error.message}`;
  }
}
