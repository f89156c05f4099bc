import assert from 'node:assert/strict';
import {
  componentLogger,
  createLogger,
  formatForTerminal,
  type LogLevel,
  type Logger,
  REDACTED_KEYS,
} from '@filbert/kit';

/** A logger and the lines it wrote, parsed. */
function capture(level: LogLevel = 'info'): { logger: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  return { logger: createLogger({ level, name: 'router', destination }), lines };
}

describe('kit log', () => {
  it('writes JSON lines with name, component and fields, at or above the level', () => {
    const { logger, lines } = capture();
    componentLogger(logger, 'routes').info({ links: 3 }, 'table is full');
    logger.debug('below the level');
    assert.equal(lines.length, 1);
    assert.deepEqual(
      { ...lines[0], time: 0 },
      { level: 30, time: 0, pid: process.pid, name: 'router', component: 'routes', links: 3, msg: 'table is full' },
    );
  });

  it('never writes query text or secrets: top level, nested twice, in an error or bound to a child', () => {
    for (const key of REDACTED_KEYS) {
      const { logger, lines } = capture();
      const error = Object.assign(new Error('refused'), { [key]: 'blue moon' });
      logger.info({ [key]: 'blue moon', one: { [key]: 'blue moon', two: { [key]: ['blue moon'] } } }, 'x');
      logger.error({ err: error }, 'y');
      logger.child({ [key]: 'blue moon' }).info('z');
      assert.equal(lines.length, 3);
      const text = JSON.stringify(lines);
      assert.doesNotMatch(text, /blue moon/, key);
      assert.equal(text.match(/\[redacted\]/g)?.length, 5, key);
    }
  });

  it('adds no trace ids while telemetry is off', () => {
    const { logger, lines } = capture();
    logger.info('x');
    assert.equal('trace_id' in (lines[0] ?? {}), false);
  });

  it('writes an error with its type, message and stack', () => {
    const { logger, lines } = capture();
    logger.error({ err: new RangeError('too far') }, 'failed');
    const err = lines[0]?.['err'] as Record<string, string>;
    assert.equal(err['type'], 'RangeError');
    assert.equal(err['message'], 'too far');
    assert.match(err['stack'] ?? '', /logger\.test/);
  });
});

describe('kit log on a terminal', () => {
  const time = Date.UTC(2024, 0, 1, 12, 34, 56, 789);

  it('writes time, level, component, message and fields in one line', () => {
    const fields = { level: 40, time, pid: 1, name: 'edge', component: 'tls', msg: 'slow peer', ms: 12, why: 'a b' };
    assert.equal(
      formatForTerminal(JSON.stringify(fields)),
      '12:34:56.789 WARN  edge/tls  slow peer  ms=12 why="a b"\n',
    );
  });

  it('puts the stack of an error under the line', () => {
    const err = { stack: 'Error: x\n  at here' };
    const text = formatForTerminal(JSON.stringify({ level: 50, time, name: 'edge', msg: 'failed', err }));
    assert.equal(text, '12:34:56.789 ERROR edge  failed\n    Error: x\n    at here\n');
  });

  it('lets no control or direction character of a peer through', () => {
    const evil = '\u001b[2J\u009b31m\u202e\nfake line\u2028';
    const text = formatForTerminal(JSON.stringify({ level: 30, time, name: 'edge', msg: evil, userAgent: evil }));
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202e\u2028]/);
    assert.match(text, /\\u001b\[2J/);
  });

  it('passes on a line that is not JSON', () => {
    assert.equal(formatForTerminal('plain\n'), 'plain\n');
    assert.equal(formatForTerminal('[1]'), '[1]\n');
  });
});
