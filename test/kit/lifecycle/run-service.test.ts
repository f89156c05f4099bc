import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  type Component,
  createLifecycle,
  createLogger,
  runService,
  type RunServiceOptions,
  SHUTDOWN_TIMEOUT_MS,
} from '@filbert/kit';
import { FakeClock } from '../../support/fake-clock.ts';
import { waitFor } from '../../support/wait-for.ts';

const never = (): Promise<void> => new Promise(() => {});

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

function run(components: readonly Component[], more: Pick<RunServiceOptions, 'stopOn' | 'onStartFailed'> = {}) {
  const lines: string[] = [];
  const logger = createLogger({ level: 'info', name: 'test', destination: { write: (line) => void lines.push(line) } });
  const process = new FakeProcess();
  const clock = new FakeClock();
  const lifecycle = createLifecycle({ logger, components, timers: clock });
  const exited = runService({ lifecycle, logger, process, timers: clock, ...more });
  const started = waitFor('the start', () => lines.some((line) => line.includes('"started"')));
  return { process, clock, exited, started, lines };
}

describe('kit runService', () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`drains and stops on ${signal}, and exits with 0`, async () => {
      const steps: string[] = [];
      const component = { name: 'a', drain: () => void steps.push('drain'), stop: () => void steps.push('stop') };
      const { process, exited, started } = run([component]);
      await started;
      process.emit(signal);
      assert.equal(await exited, 0);
      assert.deepEqual([steps, process.exits], [['drain', 'stop'], [0]]);
      assert.deepEqual(process.eventNames(), []);
    });
  }

  it('stops as on a signal when it is not wanted any more, also when that was so before its start', async () => {
    for (const early of [false, true]) {
      const wanted = new AbortController();
      if (early) wanted.abort('the parent is gone');
      const steps: string[] = [];
      const { exited, started } = run([{ name: 'a', stop: () => void steps.push('stop') }], { stopOn: wanted.signal });
      if (!early) await started;
      wanted.abort('the parent is gone');
      assert.equal(await exited, 0);
      assert.deepEqual(steps, ['stop']);
    }
  });

  it('tells why the start failed to whom that is to be told, and then not the log', async () => {
    const told: Error[] = [];
    const start = (): void => {
      throw new Error('no room');
    };
    const { exited, lines } = run([{ name: 'a', start }], { onStartFailed: (error) => told.push(error) });
    assert.equal(await exited, 1);
    assert.deepEqual(
      told.map(({ message }) => message),
      ['a could not start: no room'],
    );
    assert.equal(lines.filter((line) => line.includes('no room')).length, 0);
  });

  it('exits at once on a second signal, with 130 or 143 by that signal', async () => {
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const { process, exited, started } = run([{ name: 'a', drain: never }]);
      await started;
      process.emit('SIGTERM');
      process.emit(signal);
      assert.equal(await exited, code);
      assert.deepEqual(process.exits, [code]);
    }
  });

  it('logs what nobody caught as fatal, stops in order and exits with 1', async () => {
    for (const event of ['uncaughtException', 'unhandledRejection']) {
      let stopped = false;
      const { process, exited, started, lines } = run([{ name: 'a', stop: () => void (stopped = true) }]);
      await started;
      process.emit(event, new Error('lost'));
      assert.equal(await exited, 1);
      assert.equal(stopped, true);
      const fatal = lines.map((line) => JSON.parse(line) as Record<string, unknown>).find(({ level }) => level === 60);
      assert.equal((fatal?.['err'] as { message: string } | undefined)?.message, 'lost');
    }
  });

  it('exits with 1 where the start fails', async () => {
    const { exited, lines } = run([{ name: 'a', start: () => Promise.reject(new Error('no disk')) }]);
    assert.equal(await exited, 1);
    assert.match(lines.join(''), /a could not start: no disk/);
  });

  it('takes a signal during the start for an ordinary stop', async () => {
    const { process, exited } = run([{ name: 'a', start: never }]);
    process.emit('SIGTERM');
    assert.equal(await exited, 0);
  });

  it('exits with 1 where a component did not stop well', async () => {
    const { process, exited, started } = run([{ name: 'a', stop: () => Promise.reject(new Error('x')) }]);
    await started;
    process.emit('SIGTERM');
    assert.equal(await exited, 1);
  });

  it('exits with 1 when the whole stop takes too long', async () => {
    const hang: Component = { name: 'a', drain: never, timeoutsMs: { drain: SHUTDOWN_TIMEOUT_MS * 2 } };
    const { process, clock, exited, started } = run([hang]);
    await started;
    process.emit('SIGTERM');
    await clock.advanceAndSettle(SHUTDOWN_TIMEOUT_MS - 1);
    assert.deepEqual(process.exits, []);
    await clock.advanceAndSettle(1);
    assert.equal(await exited, 1);
  });
});

describe('kit runService in a real process', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  async function launch(component: string): Promise<{ child: ChildProcess; exited: Promise<unknown[]> }> {
    const script = `
      import { createLifecycle, createLogger, runService } from '@filbert/kit';
      const logger = createLogger({ level: 'info', name: 'test' });
      const keepAlive = setInterval(() => {}, 1000);
      const lifecycle = createLifecycle({ logger, components: [${component}] });
      await runService({ lifecycle, logger });`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.push(child);
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const exited = once(child, 'exit');
    await waitFor('the child to run', () => output.includes('"msg":"started"'));
    return { child, exited };
  }

  it('exits with 0 after SIGTERM', async () => {
    const { child, exited } = await launch(`{ name: 'a' }`);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });

  it('exits with 130 after a second SIGINT', async () => {
    const { child, exited } = await launch(
      `{ name: 'a', drain: () => new Promise(() => process.stderr.write('draining')) }`,
    );
    const draining = waitForText(child, 'draining');
    child.kill('SIGINT');
    await draining;
    child.kill('SIGINT');
    assert.deepEqual(await exited, [130, null]);
  });

  it('exits with 1 after an exception that nobody caught', async () => {
    const { exited } = await launch(
      `{ name: 'a', start: () => void setTimeout(() => { throw new Error('lost'); }, 50) }`,
    );
    assert.deepEqual(await exited, [1, null]);
  });
});

async function waitForText(child: ChildProcess, text: string): Promise<void> {
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await waitFor(text, () => output.includes(text));
}
