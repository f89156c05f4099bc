import assert from 'node:assert/strict';
import { createInProcessBus } from '@filbert/kit';
import { waitFor } from '../../support/wait-for.ts';
import { busContract } from './contract.ts';
import { count, freshSubject, noteTopic } from './topics.ts';

const QUEUE_MESSAGES = 8192;

busContract('in-process bus', (onError) => {
  const bus = createInProcessBus({ onError });
  return Promise.resolve({ near: bus, far: bus, settled: () => Promise.resolve() });
});

describe('in-process bus', () => {
  it('hands over the message itself, unencoded', async () => {
    const bus = createInProcessBus();
    const refuse = (): never => assert.fail('the codec was called');
    const topic = { ...noteTopic(freshSubject()), codec: { encode: refuse, decode: refuse } };
    let received: unknown;
    bus.subscribe(topic, (message) => (received = message));
    const message = { text: 'itself' };
    bus.publish(topic, message);
    await waitFor('the message', () => received);
    assert.equal(received, message);
  });

  it('drops and counts what a subscription has no room for, and keeps the rest in order', async () => {
    const bus = createInProcessBus();
    const topic = noteTopic(freshSubject());
    const seen: string[] = [];
    bus.subscribe(topic, ({ text }) => seen.push(text));
    for (let i = 0; i < QUEUE_MESSAGES + 10; i++) bus.publish(topic, { text: String(i) });
    assert.equal(count(bus, 'note', 'queue-full'), 10);
    await waitFor('the others', () => seen.length >= QUEUE_MESSAGES);
    assert.deepEqual(
      seen,
      Array.from({ length: QUEUE_MESSAGES }, (_, i) => String(i)),
    );
    bus.publish(topic, { text: 'room again' });
    await waitFor('the next', () => seen.at(-1) === 'room again');
  });

  it('keeps the order of publication across topics', async () => {
    const bus = createInProcessBus();
    const [a, b] = [noteTopic(freshSubject()), noteTopic(freshSubject(), 'control')];
    const seen: string[] = [];
    bus.subscribe(b, ({ text }) => seen.push(text));
    bus.subscribe(a, ({ text }) => seen.push(text));
    for (let i = 0; i < 5; i++) bus.publish(i % 2 === 0 ? a : b, { text: String(i) });
    await waitFor('the messages', () => seen.length === 5);
    assert.deepEqual(seen, ['0', '1', '2', '3', '4']);
  });

  it('lets the event loop run while handlers publish to each other without end', async () => {
    const bus = createInProcessBus();
    const topic = noteTopic(freshSubject());
    let rounds = 0;
    let stopped = false;
    bus.subscribe(topic, (message) => {
      rounds++;
      if (!stopped) bus.publish(topic, message);
    });
    bus.publish(topic, { text: 'round and round' });
    await new Promise((resolve) => setTimeout(resolve, 1));
    stopped = true;
    assert.ok(rounds > 1);
  });

  it('gives the members of a queue group their turns, also while others come and go', async () => {
    const bus = createInProcessBus();
    const topic = noteTopic(freshSubject());
    const counts = { a: 0, b: 0 };
    bus.subscribe(topic, () => counts.a++, { queue: 'q' });
    bus.subscribe(topic, () => counts.b++, { queue: 'q' });
    for (let i = 0; i < 10; i++) {
      bus.publish(topic, { text: '' });
      bus.subscribe(noteTopic(freshSubject()), () => undefined).unsubscribe();
    }
    await waitFor('all', () => counts.a + counts.b === 10);
    assert.deepEqual(counts, { a: 5, b: 5 });
  });
});
