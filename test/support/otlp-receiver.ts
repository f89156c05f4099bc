import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTelemetry } from '@filbert/kit';
import { z } from 'zod';

const Attribute = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) });

const Export = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(Attribute) }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number(),
              startTimeUnixNano: z.string(),
              endTimeUnixNano: z.string(),
              attributes: z.array(Attribute).default([]),
              status: z.object({ code: z.number().optional() }).optional(),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** A span as it came over OTLP/HTTP, and the resource attributes of its sender. */
export type ReceivedSpan = z.output<typeof Export>['resourceSpans'][0]['scopeSpans'][0]['spans'][0] & {
  readonly resource: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
};

export interface OtlpReceiver {
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
  /** What came, as it came. */
  readonly bodies: readonly string[];
  close(): Promise<void>;
}

/** An OTLP/HTTP collector (JSON) on loopback that keeps the spans it gets. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url !== '/v1/traces') {
        response.writeHead(404).end();
        return;
      }
      const body = Buffer.concat(chunks).toString();
      bodies.push(body);
      const { resourceSpans } = Export.parse(JSON.parse(body));
      for (const { resource, scopeSpans } of resourceSpans) {
        const attributes = new Map(resource.attributes.map(({ key, value }) => [key, value]));
        for (const scope of scopeSpans) for (const span of scope.spans) spans.push({ ...span, resource: attributes });
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    bodies,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a part of the node, run in this process, recorded. */
export interface SpanRecording {
  /** Turns telemetry off and gives what was recorded until then, in order of its end; further calls give the same. */
  end(): Promise<readonly ReceivedSpan[]>;
}

/** Turns telemetry on in this process; whoever calls must also `end` it. */
export async function recordSpans(sampleRatio: number): Promise<SpanRecording> {
  const receiver = await startOtlpReceiver();
  const { shutdown } = await startTelemetry({
    enabled: true,
    endpoint: receiver.endpoint,
    serviceName: 'test',
    sampleRatio,
  });
  let ended: Promise<readonly ReceivedSpan[]> | undefined;
  const end = async (): Promise<readonly ReceivedSpan[]> => {
    await shutdown();
    await receiver.close();
    return receiver.spans;
  };
  return { end: () => (ended ??= end()) };
}

/** The value of a span's attribute; undefined where it has none. */
export function attribute(span: ReceivedSpan | undefined, key: string): unknown {
  const found = span?.attributes.find((each) => each.key === key);
  return found === undefined ? undefined : Object.values(found.value)[0];
}
