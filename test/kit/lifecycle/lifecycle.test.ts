import assert from 'node:assert/strict';
import {
  type Component,
  createLifecycle,
  createLogger,
  createReadiness,
  LifecycleError,
  READY_TIMEOUT_MS,
  START_TIMEOUT_MS,
  STOP_TIMEOUT_MS,
} from '@filbert/kit';
import { FakeClock } from '../../support/fake-clock.ts';

const logger = createLogger({ level: 'silent', name: 'test' });
const never = (): Promise<void> => new Promise(() => {});
const withCode = (code: string) => (error: unknown) => error instanceof LifecycleError && error.code === code;

/** A component that notes each of its phases. */
function noting(name: string, steps: string[], more: Partial<Component> = {}): Component {
  const note = (phase: string) => (): void => void steps.push(`${phase} ${name}`);
  return { name, start: note('start'), ready: note('ready'), drain: note('drain'), stop: note('stop'), ...more };
}

describe('kit readiness', () => {
  it('holds when every condition holds, and names those it waits for', () => {
    const readiness = createReadiness(['bus', 'facts']);
    assert.deepEqual([readiness.isReady(), readiness.waitingFor()], [false, ['bus', 'facts']]);
    readiness.set('bus', true);
    readiness.set('listening', false);
    assert.deepEqual(readiness.waitingFor(), ['facts', 'listening']);
    readiness.set('facts', true);
    readiness.set('listening', true);
    assert.deepEqual([readiness.isReady(), readiness.waitingFor()], [true, []]);
    assert.equal(createReadiness().isReady(), false);
  });

  it('tells listeners of changes only, until they stop listening', () => {
    const readiness = createReadiness(['a', 'b']);
    const heard: boolean[] = [];
    const off = readiness.onChange((ready) => heard.push(ready));
    readiness.set('a', true);
    readiness.set('b', true);
    readiness.set('b', true);
    readiness.set('a', false);
    off();
    readiness.set('a', true);
    assert.deepEqual(heard, [true, false]);
  });

  it('refuses conditions without end', () => {
    const readiness = createReadiness();
    for (let index = 0; index < 256; index++) readiness.set(`c${index}`, true);
    readiness.set('c0', false);
    assert.throws(() => readiness.set('one more', true), withCode('too-many-conditions'));
  });
});

describe('kit lifecycle', () => {
  it('starts in order, then waits for each to be ready; drains all in reverse, then stops all in reverse', async () => {
    const steps: string[] = [];
    const lifecycle = createLifecycle({ logger, components: [noting('bus', steps), noting('edge', steps)] });
    await lifecycle.start();
    assert.deepEqual(steps.splice(0), ['start bus', 'start edge', 'ready bus', 'ready edge']);
    assert.deepEqual(await lifecycle.stop(), { failed: [], timedOut: [] });
    assert.deepEqual(steps, ['drain edge', 'drain bus', 'stop edge', 'stop bus']);
  });

  it('is ready when every component is, and not from the beginning of the drain', async () => {
    let becomeReady = (): void => {};
    const seen: boolean[] = [];
    const edge: Component = {
      name: 'edge',
      ready: () => new Promise((resolve) => (becomeReady = resolve)),
      drain: () => void seen.push(lifecycle.readiness.isReady()),
    };
    const lifecycle = createLifecycle({ logger, components: [{ name: 'plain' }, edge] });
    assert.deepEqual(lifecycle.readiness.waitingFor(), ['running', 'edge']);
    const started = lifecycle.start();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(lifecycle.readiness.isReady(), false);
    becomeReady();
    await started;
    assert.equal(lifecycle.readiness.isReady(), true);
    await lifecycle.stop();
    assert.deepEqual(seen, [false]);
    assert.deepEqual(lifecycle.readiness.waitingFor(), ['running']);
  });

  it('stops what had begun where one component cannot start, and says which and why', async () => {
    const steps: string[] = [];
    const fail = (): void => {
      throw new RangeError('port taken');
    };
    const components = [noting('a', steps), noting('b', steps, { start: fail }), noting('c', steps)];
    const lifecycle = createLifecycle({ logger, components });
    await assert.rejects(lifecycle.start(), (error) => {
      assert.ok(error instanceof LifecycleError);
      assert.equal(error.code, 'start-failed');
      assert.equal(error.message, 'b could not start: port taken');
      assert.ok(error.cause instanceof RangeError);
      return true;
    });
    assert.deepEqual(steps, ['start a', 'drain b', 'drain a', 'stop b', 'stop a']);
  });

  it('bounds start and ready in time, and aborts the signal of what took too long', async () => {
    for (const [phase, timeoutMs] of [
      ['start', START_TIMEOUT_MS],
      ['ready', READY_TIMEOUT_MS],
    ] as const) {
      const clock = new FakeClock();
      let aborted = false;
      const hang = (signal: AbortSignal): Promise<void> => {
        signal.addEventListener('abort', () => (aborted = true));
        return never();
      };
      const lifecycle = createLifecycle({ logger, timers: clock, components: [{ name: 'slow', [phase]: hang }] });
      const started = assert.rejects(lifecycle.start(), withCode('start-timeout'));
      await clock.advanceAndSettle(timeoutMs - 1);
      assert.equal(aborted, false);
      await clock.advanceAndSettle(1);
      await started;
      assert.equal(aborted, true);
      assert.equal(clock.pending, 0);
    }
  });

  it('goes on stopping where one component hangs or throws, and reports it', async () => {
    const clock = new FakeClock();
    const steps: string[] = [];
    const components = [
      noting('a', steps),
      noting('b', steps, { drain: () => Promise.reject(new Error('x')) }),
      noting('c', steps, { drain: never, stop: never, timeoutsMs: { drain: 10 } }),
    ];
    const lifecycle = createLifecycle({ logger, timers: clock, components });
    await lifecycle.start();
    steps.length = 0;
    const stopped = lifecycle.stop();
    await clock.advanceAndSettle(10);
    assert.deepEqual(steps, ['drain a']);
    await clock.advanceAndSettle(STOP_TIMEOUT_MS);
    assert.deepEqual(await stopped, { failed: ['b drain'], timedOut: ['c drain', 'c stop'] });
    assert.deepEqual(steps, ['drain a', 'stop b', 'stop a']);
  });

  it('ends a start under way when told to stop, and stops what had begun', async () => {
    const steps: string[] = [];
    let aborted = false;
    const hang = (signal: AbortSignal): Promise<void> => {
      signal.addEventListener('abort', () => (aborted = true));
      return never();
    };
    const components = [noting('a', steps), noting('b', steps, { start: hang }), noting('c', steps)];
    const lifecycle = createLifecycle({ logger, components });
    const started = assert.rejects(lifecycle.start(), withCode('interrupted'));
    await new Promise((resolve) => setImmediate(resolve));
    const first = lifecycle.stop();
    assert.equal(lifecycle.stop(), first);
    await Promise.all([started, first]);
    assert.equal(aborted, true);
    assert.deepEqual(steps, ['start a', 'drain b', 'drain a', 'stop b', 'stop a']);
  });

  it('refuses a second start, and a start after its stop', async () => {
    const lifecycle = createLifecycle({ logger, components: [] });
    await lifecycle.start();
    await assert.rejects(lifecycle.start(), withCode('bad-order'));
    const stopped = createLifecycle({ logger, components: [] });
    await stopped.stop();
    await assert.rejects(stopped.start(), withCode('bad-order'));
  });
});
