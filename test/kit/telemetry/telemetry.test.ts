import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  activeTraceIds,
  activeTraceparent,
  createLogger,
  startSpan,
  startTelemetry,
  type Telemetry,
  TelemetryError,
} from '@filbert/kit';
import { type OtlpReceiver, startOtlpReceiver } from '../../support/otlp-receiver.ts';

const run = promisify(execFile);
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

describe('kit telemetry when off', () => {
  it('loads neither SDK nor exporter of OpenTelemetry, whatever the kit is asked', async () => {
    const script = `
      import { registerHooks } from 'node:module';
      const loaded = [];
      registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
      const kit = await import('@filbert/kit');
      const off = { enabled: false, endpoint: '', serviceName: 'x', sampleRatio: 1 };
      const telemetry = await kit.startTelemetry(off);
      const span = kit.startSpan('work');
      span.setAttributes({ a: 1 });
      span.fail(new Error('x'));
      const result = span.run(() => [span.traceparent ?? null, kit.activeTraceIds() ?? null]);
      span.end();
      await telemetry.shutdown();
      const seen = (word) => loaded.filter((url) => url.includes(word)).length;
      // The bare API is loaded by prom-client, for its exemplars.
      const otel = seen('@opentelemetry/') - seen('@opentelemetry/api/');
      console.log(JSON.stringify({ result, kit: seen('packages/kit') > 0, otel }));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script]);
    assert.deepEqual(JSON.parse(stdout), { result: [null, null], kit: true, otel: 0 });
  });
});

describe('kit telemetry when on', () => {
  let receiver: OtlpReceiver;
  let telemetry: Telemetry | undefined;

  beforeEach(async () => {
    receiver = await startOtlpReceiver();
  });
  afterEach(async () => {
    await telemetry?.shutdown();
    telemetry = undefined;
    await receiver.close();
  });

  async function start(sampleRatio: number, shutdownTimeoutMs = 5_000): Promise<Telemetry> {
    const { endpoint } = receiver;
    telemetry = await startTelemetry({
      enabled: true,
      endpoint,
      serviceName: 'filbert-test',
      sampleRatio,
      shutdownTimeoutMs,
    });
    return telemetry;
  }

  it('delivers a span with name, kind, attributes and service over OTLP/HTTP', async () => {
    const { shutdown } = await start(1);
    const span = startSpan('query', { kind: 'server', attributes: { hops: 3 } });
    span.fail(new RangeError('no route to 192.0.2.1'));
    span.end();
    await shutdown();
    const [received] = receiver.spans;
    assert.equal(receiver.spans.length, 1);
    assert.equal(received?.name, 'query');
    assert.equal(received?.kind, 2);
    assert.deepEqual(received?.attributes, [
      { key: 'hops', value: { intValue: 3 } },
      { key: 'error.type', value: { stringValue: 'RangeError' } },
    ]);
    assert.equal(
      receiver.bodies.some((body) => body.includes('192.0.2.1')),
      false,
    );
    assert.equal(received?.status?.code, 2);
    assert.deepEqual(received?.resource.get('service.name'), { stringValue: 'filbert-test' });
  });

  it('goes on with the trace of a traceparent and hands its own on', async () => {
    const { shutdown } = await start(0);
    const span = startSpan('next hop', { parent: `00-${TRACE}-${PARENT}-01` });
    assert.match(span.traceparent ?? '', new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    span.end();
    await shutdown();
    assert.equal(receiver.spans[0]?.traceId, TRACE);
    assert.equal(receiver.spans[0]?.parentSpanId, PARENT);
  });

  it('makes the span active for what runs inside, across awaits, and for log lines there', async () => {
    const { shutdown } = await start(1);
    const lines: string[] = [];
    const logger = createLogger({ level: 'info', name: 'x', destination: { write: (line) => void lines.push(line) } });
    const outer = startSpan('outer');
    const ids = await outer.run(async () => {
      await Promise.resolve();
      logger.info('inside');
      assert.equal(activeTraceparent(), outer.traceparent);
      startSpan('inner').end();
      return activeTraceIds();
    });
    logger.info('outside');
    outer.end();
    await shutdown();
    const inner = receiver.spans.find(({ name }) => name === 'inner');
    assert.equal(inner?.parentSpanId, ids?.span_id);
    const [inside, outside] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(inside?.['trace_id'], ids?.trace_id);
    assert.equal(inside?.['span_id'], ids?.span_id);
    assert.equal(outside && 'trace_id' in outside, false);
  });

  it('records nothing and hands no traceparent on where the trace is not sampled', async () => {
    const { shutdown } = await start(0);
    const span = startSpan('unsampled');
    assert.equal(span.traceparent, undefined);
    span.end();
    const told = startSpan('told not to', { parent: `00-${TRACE}-${PARENT}-00` });
    assert.equal(told.traceparent, undefined);
    told.end();
    await shutdown();
    assert.deepEqual(receiver.spans, []);
  });

  it('refuses a second start, and an endpoint that is no URL', async () => {
    await start(1);
    const options = { enabled: true, endpoint: receiver.endpoint, serviceName: 'x', sampleRatio: 1 };
    const code = (expected: string) => (error: unknown) => error instanceof TelemetryError && error.code === expected;
    await assert.rejects(startTelemetry(options), code('already-started'));
    await telemetry?.shutdown();
    await assert.rejects(startTelemetry({ ...options, endpoint: 'localhost' }), code('bad-endpoint'));
  });

  it('stops within its bound and without an error where the collector is gone', async () => {
    const { shutdown } = await start(1, 200);
    await receiver.close();
    startSpan('lost').end();
    const before = performance.now();
    await shutdown();
    assert.ok(performance.now() - before < 2_000);
    assert.equal(activeTraceIds(), undefined);
  });
});
