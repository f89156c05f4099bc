import assert from 'node:assert/strict';
import type { Bus, BusErrorHook, BusStatus, Subscription } from '@filbert/kit';
import { waitFor } from '../../support/wait-for.ts';
import {
  askUntilAnswered,
  count,
  freshSubject,
  type Note,
  noteTopic,
  part,
  type Part,
  partTopic,
  questionTopic,
} from './topics.ts';

/** Two services' views of one bus: the same object within a process, two connections over a server. */
export interface BusPair {
  readonly near: Bus;
  readonly far: Bus;
  /** Resolves when what both did so far has had its effect: subscriptions work, messages have met their subscribers. */
  settled(): Promise<unknown>;
}

/** What every bus promises. `open` makes a fresh pair. */
export function busContract(name: string, open: (onError: BusErrorHook) => Promise<BusPair>): void {
  describe(`${name}: contract`, () => {
    let pair: BusPair;
    let near: Bus;
    let far: Bus;
    let errors: [topic: string, event: string, message: string][];

    beforeEach(async () => {
      errors = [];
      pair = await open((error, topic, event) => errors.push([topic, event, (error as Error).message]));
      ({ near, far } = pair);
    });

    afterEach(() => Promise.all([near.drain(), far.drain()]));

    describe('publish and subscribe', () => {
      it('hands every message to every subscriber, in order', async () => {
        const topic = noteTopic(freshSubject());
        const first: string[] = [];
        const second: string[] = [];
        far.subscribe(topic, ({ text }) => first.push(text));
        far.subscribe(topic, ({ text }) => second.push(text));
        await pair.settled();
        const sent = Array.from({ length: 1500 }, (_, i) => String(i));
        for (const text of sent) assert.equal(near.publish(topic, { text }), true);
        await waitFor('all messages', () => first.length >= sent.length && second.length >= sent.length);
        assert.deepEqual(first, sent);
        assert.deepEqual(second, sent);
        assert.equal(count(near, 'note', 'published'), sent.length);
        assert.equal(count(far, 'note', 'delivered'), 2 * sent.length);
      });

      it('never calls a handler within publish, also when a handler publishes', async () => {
        const topic = noteTopic(freshSubject());
        const seen: string[] = [];
        let publishing = false;
        const publish = (text: string): void => {
          publishing = true;
          far.publish(topic, { text });
          publishing = false;
        };
        far.subscribe(topic, ({ text }) => {
          assert.equal(publishing, false);
          seen.push(text);
          if (text !== 'aaa') publish(`${text}a`);
        });
        await pair.settled();
        publish('a');
        await waitFor('the last message', () => seen.includes('aaa'));
        assert.deepEqual(seen, ['a', 'aa', 'aaa']);
        assert.deepEqual(errors, []);
      });

      it('takes * for one token and > for the rest of a subject', async () => {
        const base = freshSubject();
        const one: string[] = [];
        const rest: string[] = [];
        far.subscribe(noteTopic(`${base}.*.state`), ({ text }) => one.push(text));
        far.subscribe(noteTopic(`${base}.>`), ({ text }) => rest.push(text));
        await pair.settled();
        for (const subject of [`${base}.a.state`, `${base}.b.other`, `${base}.a.b.state`, base, `${base}.c.state`])
          near.publish(noteTopic(subject), { text: subject.slice(base.length) });
        await waitFor('the last message', () => rest.includes('.c.state') && one.includes('.c.state'));
        assert.deepEqual(one, ['.a.state', '.c.state']);
        assert.deepEqual(rest, ['.a.state', '.b.other', '.a.b.state', '.c.state']);
      });

      it('gives each message to one member of a queue group, beside those outside it', async () => {
        const topic = noteTopic(freshSubject());
        const counts = [0, 0, 0];
        const count = (member: number) => (): void => {
          counts[member] = (counts[member] ?? 0) + 1;
        };
        far.subscribe(topic, count(0), { queue: 'workers' });
        far.subscribe(topic, count(1), { queue: 'workers' });
        far.subscribe(topic, count(2));
        await pair.settled();
        for (let i = 0; i < 200; i++) near.publish(topic, { text: String(i) });
        await waitFor('all messages', () => (counts[0] ?? 0) + (counts[1] ?? 0) + (counts[2] ?? 0) >= 400);
        assert.equal(counts[2], 200);
        assert.ok((counts[0] ?? 0) > 20 && (counts[1] ?? 0) > 20, `both members work: ${counts.join()}`);
      });

      it('delivers nothing to a subscription after unsubscribe, and all to the others', async () => {
        const topic = noteTopic(freshSubject());
        const stopped: string[] = [];
        const kept: string[] = [];
        const subscription: Subscription = far.subscribe(topic, ({ text }) => {
          stopped.push(text);
          subscription.unsubscribe();
          subscription.unsubscribe();
        });
        far.subscribe(topic, ({ text }) => kept.push(text));
        await pair.settled();
        for (const text of ['1', '2', '3']) near.publish(topic, { text });
        await waitFor('the other subscription', () => kept.length >= 3);
        assert.deepEqual(stopped, ['1']);
        assert.deepEqual(kept, ['1', '2', '3']);
      });

      it('counts and reports a handler that throws or whose promise is rejected, and goes on', async () => {
        const topic = noteTopic(freshSubject());
        const seen: string[] = [];
        const handler = ({ text }: Note): unknown => {
          seen.push(text);
          if (text === 'throws') throw new Error('thrown');
          return text === 'rejects' ? Promise.reject(new Error('rejected')) : undefined;
        };
        far.subscribe(topic, handler);
        await pair.settled();
        for (const text of ['throws', 'rejects', 'fine']) near.publish(topic, { text });
        await waitFor('all three', () => seen.length === 3 && errors.length >= 2);
        assert.deepEqual(errors, [
          ['note', 'handler-error', 'thrown'],
          ['note', 'handler-error', 'rejected'],
        ]);
        assert.equal(count(far, 'note', 'handler-error'), 2);
        assert.equal(count(far, 'note', 'delivered'), 3);
      });
    });

    describe('request and respond', () => {
      it('resolves with the reply, of a handler that answers at once or later', async () => {
        const now = questionTopic(freshSubject());
        const later = questionTopic(freshSubject());
        far.respond(now, ({ text }) => ({ text: `${text}!` }));
        far.respond(later, async ({ text }) => {
          await new Promise((resolve) => setImmediate(resolve));
          return { text: `${text}?` };
        });
        await pair.settled();
        assert.deepEqual(await near.request(now, { text: 'a' }, { timeoutMs: 2000 }), { text: 'a!' });
        assert.deepEqual(await near.request(later, { text: 'b' }, { timeoutMs: 2000 }), { text: 'b?' });
      });

      it('tells how long requests took by topic, those that failed among them', async () => {
        const answered = questionTopic(freshSubject());
        const silent = { ...questionTopic(freshSubject()), name: 'silent' };
        far.respond(answered, ({ text }) => ({ text }));
        far.respond(silent, () => undefined);
        await pair.settled();
        await near.request(answered, { text: '' }, { timeoutMs: 2000 });
        await near.request(answered, { text: '' }, { timeoutMs: 2000 });
        await assert.rejects(near.request(silent, { text: '' }, { timeoutMs: 60 }), { code: 'timeout' });
        const took = new Map(Array.from(near.requestDurations(), ({ topic, durations }) => [topic, durations]));
        assert.deepEqual([took.get('question')?.count, took.get('silent')?.count], [2, 1]);
        const waited = took.get('silent')?.sum ?? 0;
        assert.ok(waited > 0.05 && waited < 2, `${waited} s`);
      });

      it('keeps the replies of many requests under way apart', async () => {
        const topic = questionTopic(freshSubject());
        far.respond(topic, async ({ text }) => {
          if (Number(text) % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
          return { text: `${text}!` };
        });
        await pair.settled();
        const texts = Array.from({ length: 100 }, (_, i) => String(i));
        const replies = await Promise.all(texts.map((text) => near.request(topic, { text }, { timeoutMs: 5000 })));
        assert.deepEqual(
          replies.map(({ text }) => text),
          texts.map((text) => `${text}!`),
        );
      });

      it('rejects with no-responders where nobody responds', async () => {
        const topic = questionTopic(freshSubject());
        await assert.rejects(near.request(topic, { text: '' }, { timeoutMs: 5000 }), { code: 'no-responders' });
      });

      it('rejects with timeout where the only responder stays silent or fails', async () => {
        const silent = questionTopic(freshSubject());
        const failing = questionTopic(freshSubject());
        far.respond(silent, () => undefined);
        far.respond(failing, () => Promise.reject(new Error('no idea')));
        await pair.settled();
        await assert.rejects(near.request(silent, { text: '' }, { timeoutMs: 40 }), { code: 'timeout' });
        await assert.rejects(near.request(failing, { text: '' }, { timeoutMs: 40 }), { code: 'timeout' });
        assert.deepEqual(errors, [['question', 'handler-error', 'no idea']]);
      });

      it('takes the reply of the responder that speaks where another stays silent', async () => {
        const topic = questionTopic(freshSubject());
        far.respond(topic, () => undefined);
        far.respond(topic, () => ({ text: 'mine' }));
        await pair.settled();
        assert.deepEqual(await near.request(topic, { text: '' }, { timeoutMs: 2000 }), { text: 'mine' });
      });

      it('asks one member of a queue group of responders', async () => {
        const topic = questionTopic(freshSubject());
        let asked = 0;
        const respond = (): { text: string } => {
          asked++;
          return { text: 'done' };
        };
        far.respond(topic, respond, { queue: 'workers' });
        far.respond(topic, respond, { queue: 'workers' });
        await pair.settled();
        for (let i = 0; i < 10; i++) await near.request(topic, { text: '' }, { timeoutMs: 2000 });
        assert.equal(asked, 10);
      });
    });

    describe('streams', () => {
      it('numbers messages from 1 and fills in epoch and time', async () => {
        const topic = partTopic(freshSubject());
        const seen: Part[] = [];
        far.openReader(topic, (message) => void seen.push(message));
        await pair.settled();
        const startMs = Date.now();
        const writer = near.openWriter(topic, { epoch: 7 });
        for (const text of ['a', 'b', 'c']) assert.equal(writer.send(part(text), 10), 'sent');
        await waitFor('the messages', () => seen.length === 3);
        assert.deepEqual(
          seen.map(({ epoch, number, text }) => [epoch, number, text]),
          [
            [7, 1, 'a'],
            [7, 2, 'b'],
            [7, 3, 'c'],
          ],
        );
        for (const { sentAtMs } of seen) assert.ok(sentAtMs >= startMs && sentAtMs <= Date.now());
        await waitFor('the report', () => writer.outstandingBytes === 0);
        assert.equal(writer.pressure(), 0);
      });

      it('refuses beyond the bytes allowed, and sends again once the reader is done', async () => {
        const topic = partTopic(freshSubject());
        const finish: (() => void)[] = [];
        far.openReader(topic, () => new Promise<void>((resolve) => finish.push(resolve)));
        await pair.settled();
        const writer = near.openWriter(topic, { epoch: 1, maxOutstandingBytes: 300, maxOutstandingMs: 60_000 });
        assert.deepEqual(
          ['1', '2', '3', '4'].map((text) => writer.send(part(text), 100)),
          ['sent', 'sent', 'sent', 'no-credit'],
        );
        assert.equal(writer.outstandingBytes, 300);
        const other = near.openWriter(topic, { epoch: 2, maxOutstandingBytes: 300, maxOutstandingMs: 60_000 });
        assert.deepEqual([...near.outstanding()], [{ topic: 'part', bytes: 300 }], 'all writers of a topic together');
        other.close();
        assert.ok(writer.pressure() >= 1);
        assert.equal(count(near, 'part', 'no-credit'), 1);
        await waitFor('three handlers', () => finish.length === 3);
        assert.equal(writer.lastNumber, 3);
        assert.equal(writer.isDone(1), false);
        // The first is not done, so that the end of the second frees nothing; then both are.
        finish[1]?.();
        finish[0]?.();
        await waitFor('the report', () => writer.outstandingBytes === 100);
        assert.deepEqual(
          [1, 2, 3].map((number) => writer.isDone(number)),
          [true, true, false],
        );
        assert.equal(writer.send(part('5'), 100), 'sent');
        await waitFor('the handler', () => finish.length === 4);
        for (const end of finish) end();
        await waitFor('the last report', () => writer.outstandingBytes === 0);
        assert.ok(writer.isDone(writer.lastNumber));
        writer.close();
        assert.deepEqual([...near.outstanding()], []);
        assert.equal(count(near, 'part', 'published'), 4);
      });

      it('refuses when the oldest message waits too long, and sends again once the reader is done', async () => {
        const topic = partTopic(freshSubject());
        const finish: (() => void)[] = [];
        far.openReader(topic, () => new Promise<void>((resolve) => finish.push(resolve)));
        await pair.settled();
        const writer = near.openWriter(topic, { epoch: 1, maxOutstandingMs: 60 });
        writer.send(part('slow'), 10);
        await waitFor('the pressure to rise', () => writer.pressure() >= 1);
        assert.equal(writer.send(part('next'), 10), 'no-credit');
        await waitFor('the handler', () => finish.length === 1);
        finish[0]?.();
        await waitFor('credit', () => writer.outstandingBytes === 0);
        assert.equal(writer.send(part('next'), 10), 'sent');
        await waitFor('the next handler', () => finish.length === 2);
        finish[1]?.();
      });

      it('counts a message as done when its handler failed', async () => {
        const topic = partTopic(freshSubject());
        far.openReader(topic, ({ text }) => {
          if (text === 'throws') throw new Error('thrown');
          return Promise.reject(new Error('rejected'));
        });
        await pair.settled();
        const writer = near.openWriter(topic, { epoch: 1, maxOutstandingMs: 60_000 });
        writer.send(part('throws'), 10);
        writer.send(part('rejects'), 10);
        await waitFor('the reports', () => writer.outstandingBytes === 0);
        assert.equal(count(far, 'part', 'handler-error'), 2);
      });

      it('frees a stuck writer once there is a reader again, by one message every 100 ms', async () => {
        const topic = partTopic(freshSubject());
        const writer = near.openWriter(topic, { epoch: 1, maxOutstandingBytes: 100, maxOutstandingMs: 60_000 });
        writer.send(part('lost'), 100);
        assert.equal(writer.send(part('refused'), 100), 'no-credit');
        await pair.settled();
        const seen: string[] = [];
        far.openReader(topic, ({ text }) => void seen.push(text));
        await pair.settled();
        await waitFor('the probe', () => writer.send(part('probe'), 100) === 'sent');
        await waitFor('the report', () => writer.outstandingBytes === 0);
        assert.deepEqual(seen, ['probe']);
        assert.equal(writer.send(part('flows'), 100), 'sent');
        await waitFor('the next message', () => seen.includes('flows'));
      });

      it('serves several writers of one stream, each with its own credit', async () => {
        const topic = partTopic(freshSubject());
        const stuck: (() => void)[] = [];
        far.openReader(topic, ({ text }) =>
          text === 'slow' ? new Promise<void>((resolve) => stuck.push(resolve)) : undefined,
        );
        await pair.settled();
        const slow = near.openWriter(topic, { epoch: 1, maxOutstandingMs: 60_000 });
        const fast = near.openWriter(topic, { epoch: 1, maxOutstandingMs: 60_000 });
        slow.send(part('slow'), 10);
        fast.send(part('fast'), 10);
        await waitFor('the fast one', () => fast.outstandingBytes === 0 && stuck.length === 1);
        assert.equal(slow.outstandingBytes, 10);
        stuck[0]?.();
        await waitFor('the slow one', () => slow.outstandingBytes === 0);
      });

      it('refuses a closed writer', () => {
        const writer = near.openWriter(partTopic(freshSubject()), { epoch: 1 });
        writer.close();
        assert.equal(writer.send(part(''), 10), 'disconnected');
        assert.equal(count(near, 'part', 'disconnected'), 1);
      });
    });

    describe('drain', () => {
      it('delivers what is under way and waits for handlers in progress', async () => {
        const topic = noteTopic(freshSubject());
        const done: string[] = [];
        let release: (() => void) | undefined;
        const held = new Promise<void>((resolve) => (release = resolve));
        const handler = ({ text }: Note): unknown => held.then(() => done.push(text));
        far.subscribe(topic, handler);
        await pair.settled();
        near.publish(topic, { text: 'held' });
        await waitFor('the handler to start', () => count(far, 'note', 'delivered') === 1);
        let drained = false;
        const draining = far.drain().then(() => (drained = true));
        assert.equal(drained, false);
        release?.();
        await draining;
        assert.deepEqual(done, ['held']);
        assert.equal(far.status, 'closed');
      });

      it('delivers messages published before it', async () => {
        const topic = noteTopic(freshSubject());
        let seen = 0;
        far.subscribe(topic, () => seen++);
        await pair.settled();
        for (let i = 0; i < 2000; i++) far.publish(topic, { text: '' });
        await far.drain();
        assert.equal(seen, 2000);
      });

      it('tells of the status closed, once, and lets a second call wait for the first', async () => {
        const statuses: BusStatus[] = [];
        assert.equal(far.status, 'connected');
        far.onStatus((status) => statuses.push(status));
        const stop = far.onStatus(() => assert.fail('was stopped'));
        stop();
        await Promise.all([far.drain(), far.drain()]);
        assert.deepEqual(statuses, ['closed']);
        assert.deepEqual(errors, []);
      });

      it('then refuses: publish returns false, requests and subscriptions fail with closed', async () => {
        const topic = noteTopic(freshSubject());
        const question = questionTopic(freshSubject());
        const writer = near.openWriter(partTopic(freshSubject()), { epoch: 1 });
        await near.drain();
        assert.equal(near.publish(topic, { text: '' }), false);
        assert.equal(count(near, 'note', 'disconnected'), 1);
        assert.equal(writer.send(part(''), 10), 'disconnected');
        await assert.rejects(near.request(question, { text: '' }, { timeoutMs: 1000 }), { code: 'closed' });
        assert.throws(() => near.subscribe(topic, () => undefined), { code: 'closed' });
        assert.throws(() => near.respond(question, () => undefined), { code: 'closed' });
        assert.throws(() => near.openReader(partTopic(freshSubject()), () => undefined), { code: 'closed' });
      });

      it('rejects requests that still wait with closed', async () => {
        const topic = questionTopic(freshSubject());
        far.respond(topic, ({ text }) => (text === 'answer' ? { text } : undefined));
        await askUntilAnswered(near, topic, 'answer');
        const waiting = near.request(topic, { text: '' }, { timeoutMs: 60_000 });
        await Promise.all([assert.rejects(waiting, { code: 'closed' }), near.drain()]);
      });
    });
  });
}
