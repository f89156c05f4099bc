import type { Socket } from 'node:net';
import {
  describeFrameFault,
  encodeBye,
  ipv4FromText,
  QrpReceiver,
  type ByeCodeValue,
  type FrameSink,
  type PeerCapabilities,
  type SlotSet,
  ZERO_GUID,
} from '@filbert/gnutella';
import { emptyLinkRecord, LinkCapability, LinkKind, tableChanges, UNLIMITED_HOPS_FLOW } from '@filbert/contracts';
import type { DescribedLink, LinkRecord, TableChange } from '@filbert/contracts';
import type { CompressionGrant } from './compression-budget.ts';
import { LinkDeflater } from './link-deflater.ts';
import { LinkInput } from './link-input.ts';
import { OutClass, OutQueue } from './out-queue.ts';
import type { ReadTurns } from './read-turns.ts';

/** What may wait for one link, bytes (docs/protocol/12 §11). */
export const LEAF_QUEUE_BYTES = 96 * 1024;
export const ULTRAPEER_QUEUE_BYTES = 256 * 1024;
/** One write to a socket, bytes. */
const MAX_WRITE_BYTES = 32 * 1024;
/** After a BYE the socket is kept this long for the peer to read it, ms. */
const BYE_GRACE_MS = 5_000;
const NOTHING = Buffer.alloc(0);

export type LinkRole = 'ultrapeer' | 'leaf';

/** What a link tells the edge that holds it. */
export interface LinkHost {
  /** A whole frame came; the bytes are valid only during the call. */
  onFrame(link: PeerLink, bytes: Buffer, start: number, end: number): void;
  onClosed(link: PeerLink, reason: string): void;
  /** The link has something to send: flush it before long. */
  markDirty(link: PeerLink): void;
  /** ms, monotonic; cheap. */
  now(): number;
  /** Whose bytes are read when. */
  readonly readTurns: ReadTurns;
  /** What we call ourselves. */
  readonly userAgent: string;
  /** A BYE goes out. */
  onBye(link: PeerLink, code: number): void;
}

/** Figures of one link since it began. */
export interface LinkCounters {
  bytesIn: number;
  bytesOut: number;
  messagesIn: number;
  messagesOut: number;
  /** Messages that break a rule, found by the edge or reported by a shard. */
  bad: number;
  duplicates: number;
  useful: number;
  /** Queries that came with TTL 0, and with TTL plus hops beyond the hard limit. */
  ttlZero: number;
  highTtl: number;
}

export interface PeerLinkOptions {
  readonly number: number;
  readonly role: LinkRole;
  readonly socket: Socket;
  readonly peer: PeerCapabilities;
  readonly remoteIp: string;
  readonly remotePort: number;
  /** Limits per address and network hold for it. */
  readonly isLimited: boolean;
  /** Where the peer listens, "ip:port"; empty where unknown. */
  readonly listenAddress: string;
  readonly outgoing: boolean;
  readonly inflateIn: boolean;
  readonly deflateOut: boolean;
  readonly compression: CompressionGrant;
  readonly host: LinkHost;
  /** ms since 1970 */
  readonly connectedAtMs: number;
}

/** One neighbour: its socket, what it said of itself, what waits for it and what it has told. */
export class PeerLink implements FrameSink, DescribedLink {
  readonly number: number;
  readonly role: LinkRole;
  readonly peer: PeerCapabilities;
  readonly remoteIp: string;
  /** `remoteIp` as a number; undefined for IPv6. */
  readonly remoteIpv4: number | undefined;
  readonly remotePort: number;
  readonly listenAddress: string;
  /** Our end of the socket. */
  readonly localIp: string;
  readonly outgoing: boolean;
  readonly isLimited: boolean;
  readonly connectedAtMs: number;
  readonly queue: OutQueue;
  readonly counters: LinkCounters = {
    bytesIn: 0,
    bytesOut: 0,
    messagesIn: 0,
    messagesOut: 0,
    bad: 0,
    duplicates: 0,
    useful: 0,
    ttlZero: 0,
    highTtl: 0,
  };
  readonly tables = new QrpReceiver();
  /** The table that shards hold for this link. */
  table: SlotSet | undefined;
  /** When a RESET began that is not complete; undefined where none is under way. */
  resetAt: number | undefined;
  /** When the last message of a patch sequence came that is not complete; undefined where none is under way. */
  halfPatchAt: number | undefined;
  hopsFlow = UNLIMITED_HOPS_FLOW;
  serventGuid: Uint8Array;
  answersWhatsNew = false;
  lastReceivedAt: number;
  alivePingsUnanswered = 0;
  lastAlivePingAt = 0;
  /** When the next query of a leaf is due; see frames/query.ts. */
  nextQueryAt = Number.NEGATIVE_INFINITY;
  /** When the next change of its facts may be told, and what its tables cost is paid off; see link/link-reporter.ts. */
  nextFactsAt = Number.NEGATIVE_INFINITY;
  tablesPaidAt = Number.NEGATIVE_INFINITY;
  /** When the work that its QRP messages made is paid off; see frames/qrp.ts. */
  qrpPaidAt = Number.NEGATIVE_INFINITY;
  /** Before this time a ping that asks for other hosts' pongs is dropped. */
  acceptPingsAfter = Number.NEGATIVE_INFINITY;
  /** Before this time a ping that asks for our neighbours is dropped. */
  acceptNeighbourPingsAfter = Number.NEGATIVE_INFINITY;
  /** When the next of its alive pings is due to be answered; see frames/ping.ts. */
  nextAlivePingAt = Number.NEGATIVE_INFINITY;
  /** Since when `addressesTold` counts; see frames/pong.ts. */
  addressesSince = Number.NEGATIVE_INFINITY;
  addressesTold = 0;
  answeredFirstPing = false;
  /** In the list of links to flush. */
  dirty = false;
  /** In the list of links that may wait for more before they are flushed. */
  deferred = false;
  /** Since when the socket does not take more; undefined while it does. */
  blockedSince: number | undefined;
  readonly #socket: Socket;
  readonly #host: LinkHost;
  readonly #input: LinkInput;
  readonly #deflater: LinkDeflater | undefined;
  readonly #compression: CompressionGrant;
  #ending = false;
  #closed = false;
  #endReason = 'connection closed by the peer';
  readonly #onWritten = (): void => {
    this.blockedSince = undefined;
    if (!this.#closed) this.flush();
  };

  constructor(options: PeerLinkOptions) {
    this.number = options.number;
    this.role = options.role;
    this.peer = options.peer;
    this.remoteIp = options.remoteIp;
    this.remoteIpv4 = ipv4FromText(options.remoteIp);
    this.remotePort = options.remotePort;
    this.listenAddress = options.listenAddress;
    this.localIp = options.socket.localAddress ?? '';
    this.outgoing = options.outgoing;
    this.isLimited = options.isLimited;
    this.connectedAtMs = options.connectedAtMs;
    this.serventGuid = options.peer.guid ?? new Uint8Array(0);
    this.#socket = options.socket;
    this.#host = options.host;
    this.#compression = options.compression;
    this.lastReceivedAt = options.host.now();
    this.queue = new OutQueue(options.role === 'leaf' ? LEAF_QUEUE_BYTES : ULTRAPEER_QUEUE_BYTES);
    this.#input = new LinkInput({
      socket: options.socket,
      inflate: options.inflateIn,
      sflag: options.peer.features.has('sflag'),
      turns: options.host.readTurns,
      sink: this,
      // A BYE is never answered with one.
      onFault: (fault) =>
        fault.mayBye ? this.bye(fault.byeCode, describeFrameFault(fault)) : this.destroy(describeFrameFault(fault)),
      onBroken: (reason) => this.bye(400, reason),
    });
    if (options.deflateOut) {
      this.#deflater = new LinkDeflater({
        onData: (chunk) => this.#write(chunk),
        onIdle: () => {
          if (this.queue.bytes > 0) this.#host.markDirty(this);
        },
      });
    }
  }

  get isUltrapeer(): boolean {
    return this.role === 'ultrapeer';
  }

  get deflatesIn(): boolean {
    return this.#input.inflates;
  }

  get deflatesOut(): boolean {
    return this.#deflater !== undefined;
  }

  /** Whether nothing is taken from or given to the peer any more. */
  get ended(): boolean {
    return this.#ending || this.#closed;
  }

  /** Starts reading; `rest` came with the last handshake block. */
  open(rest: Uint8Array): void {
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    socket.on('error', (error) => {
      this.#endReason = `connection failed: ${error.message}`;
    });
    socket.on('close', () => this.#onSocketClosed());
    if (rest.length > 0) this.#onBytes(Buffer.from(rest.buffer, rest.byteOffset, rest.length));
    if (socket.destroyed) this.#onClose();
    else socket.resume();
  }

  /** Queues a frame that another link sent, with this TTL and hops. */
  relay(kind: OutClass, bytes: Uint8Array, start: number, end: number, ttl: number, hops: number): boolean {
    if (this.#ending || this.#closed) return false;
    if (!this.queue.push(kind, bytes, start, end, ttl, hops)) return false;
    this.counters.messagesOut++;
    if (!this.dirty || this.deferred) this.#host.markDirty(this);
    return true;
  }

  /** Queues a frame of ours. A control frame that finds no room ends the link: it would never catch up. */
  send(kind: OutClass, frame: Uint8Array): boolean {
    if (this.#ending || this.#closed) return false;
    if (!this.queue.pushFrame(kind, frame)) {
      if (kind === OutClass.control) this.bye(502, 'Send queue full');
      return false;
    }
    this.counters.messagesOut++;
    if (!this.dirty || this.deferred) this.#host.markDirty(this);
    return true;
  }

  /** Writes what waits, as far as the socket takes it. */
  flush(): void {
    if (this.blockedSince !== undefined || this.#closed) return;
    if (this.#deflater !== undefined) {
      this.#flushDeflated(this.#deflater);
      return;
    }
    while (this.queue.bytes > 0) {
      const chunk = this.queue.take(MAX_WRITE_BYTES);
      if (chunk === undefined || !this.#write(chunk)) return;
    }
  }

  /** Ends the link: with a BYE where the peer understands it, then the socket closes (docs/protocol/02 §7). */
  bye(code: ByeCodeValue, reason: string): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    this.#endReason = `BYE ${code}: ${reason}`;
    this.#input.close();
    this.#host.onBye(this, code);
    if (!this.peer.bye || this.blockedSince !== undefined) {
      this.#socket.destroy();
      return;
    }
    const frame = encodeBye(ZERO_GUID, code, reason, { Server: this.#host.userAgent });
    const timer = setTimeout(() => this.#socket.destroy(), BYE_GRACE_MS);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
    const last = this.queue.take(MAX_WRITE_BYTES);
    const bytes = last === undefined ? frame : Buffer.concat([last, frame]);
    this.queue.clear();
    if (this.#deflater === undefined) this.#socket.end(bytes);
    else this.#deflater.write(bytes, () => this.#socket.end());
  }

  /** Closes at once and says nothing. */
  destroy(reason: string): void {
    if (!this.#ending) this.#endReason = reason;
    this.#ending = true;
    this.#input.close();
    this.#socket.destroy();
  }

  frame(bytes: Buffer, start: number, end: number): void {
    if (this.#ending) return;
    this.counters.messagesIn++;
    this.#host.onFrame(this, bytes, start, end);
  }

  describe(): LinkRecord {
    const record = emptyLinkRecord(this.number);
    record.kind = this.isUltrapeer ? LinkKind.LINK_KIND_ULTRAPEER : LinkKind.LINK_KIND_LEAF;
    record.address = this.listenAddress;
    record.serventGuid = this.serventGuid;
    record.capabilities =
      (this.peer.extProbes ? LinkCapability.probes : 0) |
      (this.peer.dynamicQuerying ? LinkCapability.dynamicQuery : 0) |
      (this.peer.ultrapeerQueryRouting ? LinkCapability.lastHopTables : 0) |
      (this.answersWhatsNew ? LinkCapability.whatsNew : 0) |
      (this.peer.guid === undefined ? 0 : LinkCapability.handshakeGuid);
    record.remoteHost = this.isLimited ? this.remoteIp : '';
    record.hopsFlow = this.hopsFlow;
    record.maxTtl = this.peer.maxTtl;
    record.degree = this.peer.degree;
    return record;
  }

  describeTable(): TableChange[] {
    return this.table === undefined ? [] : tableChanges(undefined, this.table);
  }

  #onBytes(chunk: Buffer): void {
    this.counters.bytesIn += chunk.length;
    if (this.#ending) return;
    this.lastReceivedAt = this.#host.now();
    this.#input.push(chunk);
  }

  #flushDeflated(deflater: LinkDeflater): void {
    if (deflater.busy) return;
    const chunk = this.queue.take(MAX_WRITE_BYTES);
    if (chunk !== undefined) deflater.write(chunk);
  }

  /** @returns whether the socket takes more */
  #write(chunk: Buffer): boolean {
    if (this.#closed) return false;
    this.counters.bytesOut += chunk.length;
    this.#socket.write(chunk);
    if (this.#socket.writableLength === 0) return true;
    if (this.blockedSince === undefined) {
      this.blockedSince = this.#host.now();
      this.#socket.write(NOTHING, this.#onWritten);
    }
    return false;
  }

  /** The peer's last words, such as its BYE, may still wait to be read. */
  #onSocketClosed(): void {
    if (this.#ending) this.#onClose();
    else this.#input.finish(() => this.#onClose());
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ending = true;
    this.queue.clear();
    this.tables.discard();
    this.#input.close();
    this.#deflater?.close();
    this.#compression.release();
    this.#host.onClosed(this, this.#endReason);
  }
}
