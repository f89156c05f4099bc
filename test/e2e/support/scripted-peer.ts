import { connect, createServer, type Socket } from 'node:net';
import { RawFrameLog, type FramePredicate } from '../../support/raw-frame-log.ts';
import { hasToken, parseBlock, type HandshakeBlock } from '../../support/raw-handshake.ts';
import { RawPeerServer } from '../../support/raw-peer-server.ts';
import { RawStream } from '../../support/raw-stream.ts';
import type { RawFrame } from '../../support/raw-wire.ts';

/** How long a scripted peer waits for anything. */
const TIMEOUT_MS = 5_000;

const DEFLATE = 'Content-Encoding: deflate';

/** What a program of another vendor says: whole handshake blocks and messages, byte for byte. */
export interface PeerScript {
  readonly name: string;
  readonly role: 'leaf' | 'ultrapeer';
  /** Lines of its first block when it dials, of its second when it is dialled; the empty line is added. */
  readonly hello: readonly string[];
  /** What it sends as soon as the handshake is over. */
  readonly first: readonly Buffer[];
}

/** A peer that plays a script: its bytes are written as they stand, and nothing is answered by itself. */
export class ScriptedPeer {
  /** What the node said of itself. */
  readonly remote: HandshakeBlock;
  /** The block that decided: the node's second when dialled, its third when it dialled. */
  readonly status: HandshakeBlock;
  readonly #stream: RawStream;
  readonly #log = new RawFrameLog();

  private constructor(stream: RawStream, remote: HandshakeBlock, status: HandshakeBlock) {
    this.#stream = stream;
    this.remote = remote;
    this.status = status;
    void stream.closed.then(() => this.#log.fail(new Error('scripted peer: the link is closed')));
  }

  /** Dials the node and plays the script up to its first messages. A refusal resolves too. */
  static async dial(address: { host: string; port: number }, script: PeerScript): Promise<ScriptedPeer> {
    const stream = new RawStream(connect(address));
    stream.write(`GNUTELLA CONNECT/0.6\r\n${blockOf(script.hello)}`);
    const remote = parseBlock(await stream.readBlock(TIMEOUT_MS));
    const peer = new ScriptedPeer(stream, remote, remote);
    if (!peer.accepted) return peer;
    const deflates = hasToken(remote, 'accept-encoding', 'deflate') && offersDeflate(script);
    stream.write(`GNUTELLA/0.6 200 OK\r\n${blockOf(deflates ? [DEFLATE] : [])}`);
    peer.#start(hasToken(remote, 'content-encoding', 'deflate'), deflates, script);
    return peer;
  }

  /** Awaits the node's dials on a port, and plays the script as the one that was dialled. */
  static async listen(script: PeerScript): Promise<RawPeerServer<ScriptedPeer>> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new RawPeerServer(server, (socket) => ScriptedPeer.#answer(socket, script));
  }

  static async #answer(socket: Socket, script: PeerScript): Promise<ScriptedPeer> {
    const stream = new RawStream(socket);
    const remote = parseBlock(await stream.readBlock(TIMEOUT_MS));
    const deflates = hasToken(remote, 'accept-encoding', 'deflate') && offersDeflate(script);
    stream.write(`GNUTELLA/0.6 200 OK\r\n${blockOf(deflates ? [...script.hello, DEFLATE] : script.hello)}`);
    const final = parseBlock(await stream.readBlock(TIMEOUT_MS));
    const peer = new ScriptedPeer(stream, remote, final);
    if (peer.accepted) peer.#start(hasToken(final, 'content-encoding', 'deflate'), deflates, script);
    return peer;
  }

  get accepted(): boolean {
    return this.status.code === 200;
  }

  get destroyed(): boolean {
    return this.#stream.destroyed;
  }

  send(...messages: readonly Buffer[]): void {
    this.#stream.write(Buffer.concat(messages));
  }

  /** Takes the next frame that the predicate picks. @throws Error when none comes in time or the link ends */
  next(predicate: FramePredicate, timeoutMs = TIMEOUT_MS): Promise<RawFrame> {
    return this.#log.next(predicate, timeoutMs);
  }

  all(predicate: FramePredicate): RawFrame[] {
    return this.#log.all(predicate);
  }

  /** Settles when the link is closed, by either side. */
  get closed(): Promise<void> {
    return this.#stream.closed;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
    await this.#stream.closed;
  }

  #start(inflates: boolean, deflates: boolean, script: PeerScript): void {
    if (deflates) this.#stream.startDeflate();
    this.#stream.startBytes(inflates, (bytes) => void this.#log.feed(bytes));
    this.send(...script.first);
  }
}

function blockOf(lines: readonly string[]): string {
  return `${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
}

function offersDeflate(script: PeerScript): boolean {
  return script.hello.includes('Accept-Encoding: deflate');
}
