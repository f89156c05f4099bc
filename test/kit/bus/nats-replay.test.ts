import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Bus, connectNatsBus } from '@filbert/kit';
import { waitFor } from '../../support/wait-for.ts';
import { noteTopic } from './topics.ts';

/** A NATS server that does what the test says: it can hold back the answer that completes a connection. */
class ScriptedServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #held: Socket[] = [];
  received = '';
  holding = false;

  constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === 'object');
    return `nats://127.0.0.1:${address.port}`;
  }

  /** Connections that were greeted and wait for the answer to their first PING. */
  get waiting(): number {
    return this.#held.length;
  }

  release(): void {
    this.holding = false;
    for (const socket of this.#held.splice(0)) socket.write('PONG\r\n');
  }

  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1');
      this.received += text;
      if (!text.includes('PING\r\n')) return;
      if (this.holding) this.#held.push(socket);
      else socket.write('PONG\r\n');
    });
    const info = { server_id: 'test', version: '2.9.0', proto: 1, headers: true, max_payload: 1024 * 1024 };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
  }
}

describe('NATS bus: nothing old is sent', () => {
  let server: ScriptedServer;
  let bus: Bus;

  beforeEach(async () => {
    server = new ScriptedServer();
    bus = await connectNatsBus({ servers: await server.listen(), name: 'test', reconnectWaitMs: 5 });
  });

  afterEach(async () => {
    await bus.drain();
    await server.close();
  });

  it('drops what is published while a connection is dialled, instead of sending it afterwards', async () => {
    const topic = noteTopic('data');
    const control = noteTopic('control', 'control');
    server.holding = true;
    server.drop();
    await waitFor('both connections to be dialled', () => server.waiting === 2);
    const taken = [bus.publish(topic, { text: 'OLD' }), bus.publish(control, { text: 'OLD' })];
    server.release();
    await waitFor('the reconnection', () => bus.status === 'connected');
    bus.publish(topic, { text: 'NEW data' });
    bus.publish(control, { text: 'NEW control' });
    await waitFor(
      'what came after',
      () => server.received.includes('NEW data') && server.received.includes('NEW control'),
    );
    assert.equal(server.received.includes('OLD'), false);
    assert.deepEqual(taken, [false, false]);
  });

  it('sends nothing later of what is published at any moment of the loss of a connection', async () => {
    const topic = noteTopic('data');
    server.holding = true;
    server.drop();
    // Every turn of the event loop, and many microtasks of each, until the connections stand but for the last answer.
    while (server.waiting < 2) {
      await new Promise((resolve) => setImmediate(resolve));
      for (let i = 0; i < 100; i++) {
        bus.publish(topic, { text: 'OLD' });
        await Promise.resolve();
      }
    }
    assert.equal(bus.status, 'disconnected');
    server.received = '';
    server.release();
    await waitFor('the reconnection', () => bus.status === 'connected');
    bus.publish(topic, { text: 'NEW' });
    await waitFor('what came after', () => server.received.includes('NEW'));
    assert.equal(server.received.includes('OLD'), false);
  });
});
