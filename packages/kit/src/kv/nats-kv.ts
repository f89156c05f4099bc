import { setTimeout as sleep } from 'node:timers/promises';
import { headers, StorageType, type JetStreamClient, type JetStreamManager, type NatsConnection } from 'nats';
import type { BusStatus } from '../bus/bus.ts';
import { NATS_WAITING_INTERVAL_MS } from '../bus/limits.ts';
import { connectNats, type NatsConnectOptions } from '../bus/nats-connect.ts';
import { NatsPlane } from '../bus/nats-plane.ts';
import { StatusListeners } from '../bus/status-listeners.ts';
import {
  type KeyValueStore,
  type KvBucket,
  type KvBucketOptions,
  type KvEntry,
  KvError,
  type KvWaiting,
  type KvWaitReason,
} from './kv.ts';
import {
  KV_CALL_TIMEOUT_MS,
  KV_HEADER_BYTES,
  KV_MAX_VALUE_BYTES,
  KV_OPEN_INTERVAL_MS,
  KV_READS_AT_ONCE,
} from './limits.ts';
import { isNobody, isNoBucket, isNoRecord, kvError, refusalOf } from './nats-kv-error.ts';

/** Marks the write that removed a record, as every client of JetStream's buckets does. */
const OPERATION_HEADER = 'KV-Operation';
const NOTHING = new Uint8Array(0);

/** How to reach NATS, and who is told of what goes wrong. */
export interface NatsKeyValueOptions extends NatsConnectOptions {
  /** Told of what the server complains about, such as a missing permission. */
  readonly onServerError?: (reason: string) => void;
  /** Told of what a listener to the status threw. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Key-value buckets in the JetStream of a NATS server, over a connection of their own. Reconnects for ever; what is called
 * while there is no connection fails at once and is not kept for later.
 * @throws BusError `connect-failed`: see `connectNats`
 */
export async function connectNatsKeyValue(options: NatsKeyValueOptions): Promise<KeyValueStore> {
  return new NatsKeyValue(await connectNats(options), options);
}

class NatsKeyValue implements KeyValueStore {
  readonly #connection: NatsConnection;
  readonly #plane: NatsPlane;
  readonly #status: StatusListeners;
  readonly #closing = new AbortController();

  constructor(connection: NatsConnection, { onServerError, onError }: NatsKeyValueOptions) {
    this.#connection = connection;
    this.#status = new StatusListeners('connected', (error) => onError?.(error));
    this.#plane = new NatsPlane(connection, {
      onChange: () => this.#changed(),
      onServerError: (reason) => onServerError?.(reason),
    });
    this.#changed();
  }

  get status(): BusStatus {
    return this.#status.status;
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.add(listener);
  }

  async openBucket(options: KvBucketOptions, waiting: KvWaiting = {}): Promise<KvBucket> {
    if (options.maxValueBytes > KV_MAX_VALUE_BYTES) throw new RangeError(`values of ${options.name} may be too long`);
    const bucket = new NatsBucket(this.#connection, () => this.#plane.connected, options);
    const signal =
      waiting.signal === undefined ? this.#closing.signal : AbortSignal.any([waiting.signal, this.#closing.signal]);
    let nextReasonMs = 0;
    for (;;) {
      if (signal.aborted) throw new KvError('closed', `gave up waiting for ${options.name}`);
      try {
        await bucket.open();
        return bucket;
      } catch (error) {
        if (performance.now() >= nextReasonMs) {
          nextReasonMs = performance.now() + NATS_WAITING_INTERVAL_MS;
          waiting.onWaiting?.(waitReason(error));
        }
      }
      await sleep(KV_OPEN_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#status.set('closed');
    await this.#plane.close();
  }

  #changed(): void {
    if (this.status === 'closed') return;
    if (this.#plane.closed) this.#status.set('closed');
    else this.#status.set(this.#plane.connected ? 'connected' : 'disconnected');
  }
}

class NatsBucket implements KvBucket {
  readonly #connection: NatsConnection;
  readonly #isConnected: () => boolean;
  readonly #options: KvBucketOptions;
  readonly #stream: string;
  #client: JetStreamClient | undefined;
  #manager: JetStreamManager | undefined;
  #opening: Promise<void> | undefined;
  #incarnation = '';

  constructor(connection: NatsConnection, isConnected: () => boolean, options: KvBucketOptions) {
    this.#connection = connection;
    this.#isConnected = isConnected;
    this.#options = options;
    this.#stream = `KV_${options.name}`;
  }

  get incarnation(): string {
    return this.#incarnation;
  }

  /** Makes the bucket where it is missing. @throws what the `nats` package throws */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  get(key: string): Promise<KvEntry | undefined> {
    return this.#call(`cannot read ${key}`, (_, manager) => this.#read(manager, key));
  }

  list(firstToken?: string): Promise<readonly KvEntry[]> {
    return this.#call(`cannot list ${this.#options.name}`, async (_, manager) => {
      const filter = this.#subject(firstToken === undefined ? '>' : `${firstToken}.>`);
      const { state } = await manager.streams.info(this.#stream, { subjects_filter: filter });
      const prefix = this.#subject('');
      const keys = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
      const entries: KvEntry[] = [];
      const readers = Array.from({ length: Math.min(KV_READS_AT_ONCE, keys.length) }, async () => {
        for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
          const entry = await this.#read(manager, key);
          if (entry !== undefined) entries.push(entry);
        }
      });
      await Promise.all(readers);
      return entries;
    });
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    try {
      return await this.#write(key, value, 0);
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== 'conflict') throw error;
      // What is left of a record whose removal was not finished counts as its revision.
      const left = await this.#call(`cannot read ${key}`, (_, manager) => this.#removed(manager, key));
      if (left === undefined) throw error;
      return this.#write(key, value, left);
    }
  }

  update(key: string, value: Uint8Array, revision: number): Promise<number> {
    return this.#write(key, value, revision);
  }

  async delete(key: string, revision: number): Promise<void> {
    await this.#call(`cannot remove ${key}`, async (client, manager) => {
      const marker = headers();
      marker.set(OPERATION_HEADER, 'DEL');
      const { seq } = await client.publish(this.#subject(key), NOTHING, {
        headers: marker,
        expect: { lastSubjectSequence: revision },
      });
      // The mark of the removal has done its work; by its number, so that what was written since stays.
      await manager.streams.deleteMessage(this.#stream, seq, false).catch(() => undefined);
    });
  }

  async #open(): Promise<void> {
    const { name, maxBytes, maxValueBytes, maxAgeMs } = this.#options;
    if (!this.#isConnected()) throw new KvError('unavailable', 'not connected');
    const client = this.#connection.jetstream({ timeout: KV_CALL_TIMEOUT_MS });
    const manager = await this.#connection.jetstreamManager({ timeout: KV_CALL_TIMEOUT_MS });
    await client.views.kv(name, {
      timeout: KV_CALL_TIMEOUT_MS,
      history: 1,
      storage: StorageType.File,
      maxBucketSize: maxBytes,
      maxValueSize: maxValueBytes + KV_HEADER_BYTES,
      // Read where it is written: what a follower says may be old.
      allow_direct: false,
      ...(maxAgeMs === undefined ? {} : { ttl: maxAgeMs }),
    });
    const { created } = await manager.streams.info(this.#stream);
    this.#client = client;
    this.#manager = manager;
    this.#incarnation = String(created);
  }

  #write(key: string, value: Uint8Array, lastSubjectSequence: number): Promise<number> {
    if (value.length > this.#options.maxValueBytes) {
      return Promise.reject(new KvError('too-large', `cannot write ${key}: it would be ${value.length} bytes`));
    }
    return this.#call(`cannot write ${key}`, async (client) => {
      const { seq } = await client.publish(this.#subject(key), value, { expect: { lastSubjectSequence } });
      return seq;
    });
  }

  async #read(manager: JetStreamManager, key: string): Promise<KvEntry | undefined> {
    const message = await this.#last(manager, key);
    if (message === undefined || message.header.get(OPERATION_HEADER) !== '') return undefined;
    return { key, value: message.data, revision: message.seq };
  }

  /** Revision of the mark that a removal left behind; undefined where there is none. */
  async #removed(manager: JetStreamManager, key: string): Promise<number | undefined> {
    const message = await this.#last(manager, key);
    return message === undefined || message.header.get(OPERATION_HEADER) === '' ? undefined : message.seq;
  }

  async #last(manager: JetStreamManager, key: string) {
    try {
      return await manager.streams.getMessage(this.#stream, { last_by_subj: this.#subject(key) });
    } catch (error) {
      if (isNoRecord(error)) return undefined;
      throw error;
    }
  }

  async #call<T>(what: string, work: (client: JetStreamClient, manager: JetStreamManager) => Promise<T>): Promise<T> {
    if (!this.#isConnected()) throw new KvError('unavailable', `${what}: there is no connection to NATS`);
    try {
      await this.open();
      if (this.#client === undefined || this.#manager === undefined) throw new Error('the bucket is not open');
      return await work(this.#client, this.#manager);
    } catch (error) {
      if (error instanceof KvError) throw error;
      // A server that lost its store gets the bucket anew with the next call.
      if (isNoBucket(error)) this.#opening = undefined;
      throw kvError(what, error);
    }
  }

  #subject(key: string): string {
    return `$KV.${this.#options.name}.${key}`;
  }
}

function waitReason(error: unknown): KvWaitReason {
  if (isNobody(error)) return { kind: 'no-jetstream' };
  const sentence = refusalOf(error);
  return sentence === undefined ? { kind: 'no-answer' } : { kind: 'refused', sentence };
}
