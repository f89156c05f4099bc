import { Events, type Msg, type NatsConnection, type PublishOptions, type Subscription } from 'nats';
import { NATS_CONFIRM_BYTES, NATS_UNCONFIRMED_BYTES } from './limits.ts';
import type { PublishOutcome } from './stream.ts';

/** Bytes that a message costs on the wire beside its payload, about. */
const MESSAGE_OVERHEAD_BYTES = 64;

/** Who is told what happens to a connection. */
export interface NatsPlaneHooks {
  /** `connected` or `closed` has changed. */
  readonly onChange: () => void;
  /** The server complains, about a missing permission for one. */
  readonly onServerError: (reason: string) => void;
}

/**
 * One connection to NATS that never keeps anything for later. The client library by itself would: what is published
 * while it dials is sent once it is connected, and what the server is slow to take piles up in the socket.
 */
export class NatsPlane {
  readonly #connection: NatsConnection;
  readonly #hooks: NatsPlaneHooks;
  #up = true;
  // Published and not yet known to have been read by the server.
  #unconfirmedBytes = 0;
  #confirming = false;
  #incarnation = 0;

  constructor(connection: NatsConnection, hooks: NatsPlaneHooks) {
    this.#connection = connection;
    this.#hooks = hooks;
    void this.#watch();
  }

  /** Whether what is published now reaches the server over the connection as it is. */
  get connected(): boolean {
    // Status events come a few microtasks late; the server's description is gone from the moment that dialling starts,
    // and what was published before that moment is thrown away by the library.
    return this.#up && this.#connection.info !== undefined;
  }

  /** Whether the connection has ended for good. */
  get closed(): boolean {
    return this.#connection.isClosed();
  }

  publish(subject: string, payload: Uint8Array, options?: PublishOptions): PublishOutcome {
    const { info } = this.#connection;
    if (!this.#up || info === undefined) return 'disconnected';
    if (payload.length > info.max_payload) return 'too-large';
    const bytes = payload.length + MESSAGE_OVERHEAD_BYTES;
    if (this.#unconfirmedBytes + bytes > NATS_UNCONFIRMED_BYTES) return 'queue-full';
    this.#connection.publish(subject, payload, options);
    this.#unconfirmedBytes += bytes;
    if (this.#unconfirmedBytes > NATS_CONFIRM_BYTES && !this.#confirming) void this.#confirm();
    return 'published';
  }

  /** Subscribes, also over every later connection. `onMessage` must not throw. */
  subscribe(subject: string, queue: string | undefined, onMessage: (message: Msg) => void): Subscription {
    return this.#connection.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, message) => {
        // Errors are of permissions only, and the status events tell of them too.
        if (error === null) onMessage(message);
      },
    });
  }

  /** Resolves when the server has read everything published so far. */
  flush(): Promise<void> {
    return this.connected ? this.#connection.flush() : Promise.resolve();
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #confirm(): Promise<void> {
    const incarnation = this.#incarnation;
    this.#confirming = true;
    try {
      do {
        const bytes = this.#unconfirmedBytes;
        await this.#connection.flush();
        if (incarnation !== this.#incarnation) return;
        this.#unconfirmedBytes -= bytes;
      } while (this.#unconfirmedBytes > NATS_CONFIRM_BYTES);
    } catch {
      // Disconnected: counting starts again with the next connection.
    } finally {
      if (incarnation === this.#incarnation) this.#confirming = false;
    }
  }

  async #watch(): Promise<void> {
    for await (const { type, data } of this.#connection.status()) {
      if (type === Events.Disconnect) this.#change(false);
      else if (type === Events.Reconnect) this.#change(true);
      else if (type === Events.Error) this.#hooks.onServerError(typeof data === 'string' ? data : 'unknown');
    }
    this.#change(false);
  }

  #change(up: boolean): void {
    this.#up = up;
    this.#incarnation++;
    this.#unconfirmedBytes = 0;
    this.#confirming = false;
    this.#hooks.onChange();
  }
}
