import assert from 'node:assert/strict';
import { type Bus, type BusStatus, connectNatsBus, type NatsBusOptions } from '@filbert/kit';
import { connect as connectNats, type NatsConnection } from 'nats';
import { freePort, type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { busContract } from './contract.ts';
import { askUntilAnswered, count, freshSubject, noteTopic, part, partTopic, questionTopic } from './topics.ts';

const MIB = 1024 * 1024;

let server: NatsServer;
before(async () => {
  server = await startNatsServer();
});
after(() => server.stop());

function openBus(options: Partial<NatsBusOptions> = {}): Promise<Bus> {
  return connectNatsBus({ servers: server.url, name: 'test', ...options });
}

let syncs = 0;

/** Resolves when the server has seen all that `bus` did so far: later subscriptions of its connections work. */
async function settled(bus: Bus): Promise<void> {
  const subject = `sync.${++syncs}`;
  for (const plane of ['data', 'control'] as const) {
    let arrived = false;
    const topic = { ...noteTopic(`${subject}.${plane}`, plane), name: 'sync' };
    const subscription = bus.subscribe(topic, () => (arrived = true));
    await waitFor(`the ${plane} subscriptions`, () => {
      if (!arrived) bus.publish(topic, { text: '' });
      return arrived;
    });
    subscription.unsubscribe();
  }
}

busContract('NATS bus', async (onError) => {
  const [near, far] = await Promise.all([openBus({ onError }), openBus({ onError })]);
  return { near, far, settled: () => Promise.all([settled(near), settled(far)]) };
});

describe('NATS bus', () => {
  let bus: Bus;
  let errors: [topic: string, event: string][];
  let statuses: BusStatus[];
  let raw: NatsConnection;

  beforeEach(async () => {
    errors = [];
    statuses = [];
    bus = await openBus({ onError: (_error, topic, event) => errors.push([topic, event]) });
    bus.onStatus((status) => statuses.push(status));
    raw = await connectNats({ servers: server.url });
  });

  afterEach(async () => {
    await bus.drain();
    await raw.close();
  });

  it('drops, counts and reports a message that cannot be decoded, and goes on', async () => {
    const topic = noteTopic(freshSubject());
    const seen: string[] = [];
    bus.subscribe(topic, ({ text }) => seen.push(text));
    await settled(bus);
    raw.publish(topic.subject, Buffer.from('no JSON'));
    raw.publish(topic.subject, Buffer.from('{"text":"fine"}'));
    await waitFor('the second message', () => seen.length === 1);
    assert.deepEqual(errors, [['note', 'undecodable']]);
    assert.equal(count(bus, 'note', 'undecodable'), 1);
    assert.equal(count(bus, 'note', 'delivered'), 1);
  });

  it('rejects a reply that cannot be decoded with bad-reply', async () => {
    const topic = questionTopic(freshSubject());
    raw.subscribe(topic.subject, { callback: (_error, message) => message.respond(Buffer.from('no JSON')) });
    await raw.flush();
    await assert.rejects(bus.request(topic, { text: '' }, { timeoutMs: 2000 }), { code: 'bad-reply' });
  });

  it('ignores what is not a credit report, and reports of another epoch or of what was never sent', async () => {
    const topic = partTopic(freshSubject());
    const writer = bus.openWriter(topic, { epoch: 5, maxOutstandingMs: 60_000 });
    const addresses: string[] = [];
    raw.subscribe(topic.subject, { callback: (_error, message) => addresses.push(message.reply ?? '') });
    await raw.flush();
    writer.send(part('1'), 10);
    writer.send(part('2'), 20);
    const address = await waitFor('the address for reports', () => addresses[0]);
    const report = (epoch: number, number: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32LE(epoch, 0);
      bytes.writeUInt32LE(number, 4);
      return bytes;
    };
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(9), report(6, 2), report(5, 3)]) raw.publish(address, bytes);
    raw.publish(address, report(5, 1));
    await waitFor('the good report', () => writer.outstandingBytes !== 30);
    assert.equal(writer.outstandingBytes, 20);
  });

  it('refuses and counts messages above what the server takes', async () => {
    const topic = noteTopic(freshSubject());
    const huge = { text: 'x'.repeat(MIB) };
    assert.equal(bus.publish(topic, huge), false);
    assert.equal(count(bus, 'note', 'too-large'), 1);
    const writer = bus.openWriter(partTopic(freshSubject()), { epoch: 1 });
    assert.equal(writer.send(part(huge.text), MIB), 'too-large');
    assert.equal(writer.outstandingBytes, 0);
    await assert.rejects(bus.request(questionTopic(freshSubject()), huge, { timeoutMs: 2000 }), { code: 'refused' });
    assert.equal(bus.status, 'connected');
  });

  it('drops and counts what a server that stands still does not take, and goes on when it does', async () => {
    const topic = noteTopic(freshSubject());
    const message = { text: 'x'.repeat(MIB / 2) };
    server.pause();
    try {
      let taken = 0;
      while (bus.publish(topic, message) && taken < 100) taken++;
      assert.ok(taken >= 30 && taken < 33, `${taken} messages of half a MiB taken`);
      assert.equal(count(bus, 'note', 'queue-full'), 1);
    } finally {
      server.resume();
    }
    await waitFor('room', () => bus.publish(topic, { text: '' }));
    assert.deepEqual(statuses, []);
  });

  describe('when the server dies', () => {
    const lose = async (): Promise<void> => {
      await server.kill();
      await waitFor('the loss to be noticed', () => bus.status === 'disconnected');
    };
    const regain = async (): Promise<void> => {
      await server.restart();
      await waitFor('the reconnection', () => bus.status === 'connected', 10_000);
    };
    // The next tests need the server.
    afterEach(() => server.restart());

    it('tells of it, drops and counts publishes, and rejects requests with disconnected at once', async () => {
      const question = questionTopic(freshSubject());
      bus.respond(question, ({ text }) => (text === 'answer' ? { text } : undefined));
      await askUntilAnswered(bus, question, 'answer');
      const waiting = assert.rejects(bus.request(question, { text: '' }, { timeoutMs: 60_000 }), {
        code: 'disconnected',
      });
      await lose();
      await waiting;
      assert.deepEqual(statuses, ['disconnected']);
      assert.equal(bus.publish(noteTopic('a'), { text: '' }), false);
      assert.equal(bus.publish(noteTopic('a', 'control'), { text: '' }), false);
      assert.equal(count(bus, 'note', 'disconnected'), 2);
      await assert.rejects(bus.request(question, { text: '' }, { timeoutMs: 60_000 }), { code: 'disconnected' });
      const writer = bus.openWriter(partTopic('b'), { epoch: 1 });
      assert.equal(writer.send(part(''), 10), 'disconnected');
      assert.equal(count(bus, 'part', 'disconnected'), 1);
    });

    it('serves all subscriptions again after a restart, and sends nothing of the time between', async () => {
      const topic = noteTopic(freshSubject());
      const question = questionTopic(freshSubject());
      const seen: string[] = [];
      bus.subscribe(topic, ({ text }) => seen.push(text));
      bus.respond(question, ({ text }) => ({ text }));
      await settled(bus);
      const killed = server.kill();
      // Publishes all the time, in many turns of the event loop, from before the death to after the reconnection.
      let published = 0;
      let last = '';
      let refused = 0;
      const tick = (): void => {
        const wasDown = statuses.at(-1) === 'disconnected';
        const text = wasDown ? 'down' : `up ${published}`;
        if (!bus.publish(topic, { text })) refused++;
        else {
          published++;
          last = text;
        }
      };
      const ticking = setInterval(tick, 1);
      await killed;
      await waitFor('the loss to be noticed', () => bus.status === 'disconnected');
      const refusedBefore = await waitFor('refusals', () => refused > 20 && refused);
      await regain();
      await waitFor('messages after it', () => seen.includes(last) && last.startsWith('up') && statuses.length === 2);
      clearInterval(ticking);
      assert.deepEqual(statuses, ['disconnected', 'connected']);
      assert.ok(refused >= refusedBefore);
      assert.equal(count(bus, 'note', 'disconnected'), refused);
      assert.deepEqual(
        seen.filter((text) => text === 'down'),
        [],
      );
      assert.deepEqual(await askUntilAnswered(bus, question, 'again'), { text: 'again' });
    });

    it('sees subscriptions made and ended while it was away as they are', async () => {
      const kept = noteTopic(freshSubject());
      const ended = noteTopic(freshSubject());
      const seen: string[] = [];
      const subscription = bus.subscribe(ended, () => seen.push('ended'));
      await lose();
      bus.subscribe(kept, ({ text }) => seen.push(text));
      subscription.unsubscribe();
      await regain();
      await settled(bus);
      bus.publish(ended, { text: '' });
      bus.publish(kept, { text: 'once' });
      bus.publish(kept, { text: 'last' });
      await waitFor('the messages', () => seen.includes('last'));
      assert.deepEqual(seen, ['once', 'last']);
    });

    it('forgets what a stream has outstanding, and lets it flow again after a restart', async () => {
      const topic = partTopic(freshSubject());
      const seen: string[] = [];
      bus.openReader(topic, ({ text }) => void seen.push(text));
      await settled(bus);
      const stuck = bus.openWriter(partTopic(freshSubject()), { epoch: 1, maxOutstandingBytes: 10 });
      stuck.send(part('nobody reads this'), 10);
      assert.ok(stuck.pressure() >= 1);
      const writer = bus.openWriter(topic, { epoch: 1, maxOutstandingMs: 60_000 });
      writer.send(part('before'), 10);
      await waitFor('the first message', () => seen.length === 1);
      await lose();
      assert.equal(stuck.pressure(), 0);
      assert.equal(stuck.outstandingBytes, 0);
      assert.ok(stuck.isDone(stuck.lastNumber), 'nobody is waited for any more');
      assert.equal(writer.send(part('meanwhile'), 10), 'disconnected');
      await regain();
      await settled(bus);
      assert.equal(writer.send(part('after'), 10), 'sent');
      await waitFor('the report', () => seen.length === 2 && writer.outstandingBytes === 0);
      assert.deepEqual(seen, ['before', 'after']);
    });

    it('drains while disconnected without waiting for the server', async () => {
      const topic = noteTopic(freshSubject());
      bus.subscribe(topic, () => undefined);
      await lose();
      const startMs = Date.now();
      await bus.drain();
      assert.ok(Date.now() - startMs < 1000);
      assert.deepEqual(statuses, ['disconnected', 'closed']);
    });
  });
});

describe('NATS bus: connecting', () => {
  it('waits for a server that is away, says so once at first, and connects when it starts', async () => {
    const port = await freePort();
    const sentences: string[] = [];
    const connecting = connectNatsBus({
      servers: `nats://user:secret@127.0.0.1:${port}`,
      name: 'test',
      onWaiting: (sentence) => sentences.push(sentence),
    });
    await waitFor('the sentence', () => sentences.length > 0);
    const late = await startNatsServer({ port });
    try {
      const bus = await connecting;
      assert.equal(bus.status, 'connected');
      assert.deepEqual(sentences, [`waiting for NATS at nats://127.0.0.1:${port}: connection refused`]);
      await bus.drain();
    } finally {
      await late.stop();
    }
  });

  it('says it again every 5 s, by its clock', async () => {
    let nowMs = 0;
    let tries = 0;
    const atMs: number[] = [];
    const gaveUp = new AbortController();
    await assert.rejects(
      connectNatsBus({
        servers: `nats://127.0.0.1:${await freePort()}`,
        name: 'test',
        reconnectWaitMs: 2,
        reconnectJitterMs: 0,
        clock: { now: () => nowMs, monotonic: () => nowMs },
        timers: {
          setTimeout: (callback, delayMs) => {
            nowMs += 1000;
            if (++tries === 11) gaveUp.abort();
            return setTimeout(callback, delayMs);
          },
          clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
        },
        onWaiting: () => atMs.push(nowMs),
        signal: gaveUp.signal,
      }),
      { code: 'connect-failed' },
    );
    assert.deepEqual(atMs, [0, 5000, 10_000]);
  });

  it('gives up when its signal fires', async () => {
    const gaveUp = new AbortController();
    const connecting = connectNatsBus({
      servers: `nats://127.0.0.1:${await freePort()}`,
      name: 'test',
      reconnectWaitMs: 60_000,
      onWaiting: () => setImmediate(() => gaveUp.abort()),
      signal: gaveUp.signal,
    });
    await assert.rejects(connecting, { code: 'connect-failed' });
  });

  it('fails at once, with the reason, when told not to wait', async () => {
    const port = await freePort();
    await assert.rejects(connectNatsBus({ servers: [`127.0.0.1:${port}`], name: 'test', waitForServer: false }), {
      code: 'connect-failed',
      message: `cannot connect to NATS at 127.0.0.1:${port}: connection refused`,
    });
  });

  it('is refused by a server that wants other credentials, and takes the right ones', async () => {
    const guarded = await startNatsServer({ config: 'authorization { token: "right" }' });
    try {
      const options = { servers: guarded.url, name: 'test', waitForServer: false };
      await assert.rejects(connectNatsBus({ ...options, security: { token: 'wrong' } }), {
        message: `cannot connect to NATS at ${guarded.url}: not authorized`,
      });
      const bus = await connectNatsBus({ ...options, security: { token: 'right' } });
      await bus.drain();
    } finally {
      await guarded.stop();
    }
  });
});
