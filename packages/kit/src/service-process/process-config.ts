import { type ConfigOf, defineConfig } from '../config/definition.ts';
import { option } from '../config/option.ts';
import { decimal, hostPort, list, plainText, toggle, urlText } from '../config/values.ts';
import { z } from 'zod';
import { LOG_LEVELS } from '../log/logger.ts';

/** How much is logged. */
export const logLevelOption = option({
  flag: 'log-level',
  env: 'FILBERT_LOG_LEVEL',
  schema: z.enum(LOG_LEVELS),
  default: 'info',
  description: 'How much is logged to stderr.',
});

/** Where control calls are taken. */
export const controlOption = option({
  flag: 'control',
  env: 'FILBERT_CONTROL',
  schema: hostPort(),
  default: '127.0.0.1:0',
  description: 'Where gRPC control listens; port 0 takes a free one. Other than loopback only with a token.',
});

/** What control calls must carry. */
export const controlTokenOption = option({
  flag: 'control-token',
  env: 'FILBERT_CONTROL_TOKEN',
  schema: plainText({ min: 16, max: 255 }),
  secret: true,
  description: 'Token that control calls must carry.',
});

/** Where metrics and probes answer. */
export const adminOption = option({
  flag: 'admin',
  env: 'FILBERT_ADMIN',
  schema: hostPort(),
  default: '127.0.0.1:9346',
  description: 'Where /metrics, /livez and /readyz answer.',
});

/** Settings of tracing. */
export const tracingOptions = {
  tracing: option({
    flag: 'tracing',
    env: 'FILBERT_TRACING',
    schema: toggle(),
    default: false,
    description: 'Send traces to an OTLP collector.',
  }),
  otlpEndpoint: option({
    flag: 'otlp-endpoint',
    env: 'FILBERT_OTLP_ENDPOINT',
    schema: urlText({ schemes: ['http:', 'https:'] }),
    default: 'http://127.0.0.1:4318',
    description: 'Base URL of the OTLP/HTTP collector.',
  }),
  traceRatio: option({
    flag: 'trace-ratio',
    env: 'FILBERT_TRACE_RATIO',
    schema: decimal({ min: 0, max: 1 }),
    default: 0.001,
    description: 'Share of traces that are recorded.',
  }),
};

/** Settings of every process that runs one service over NATS. */
export const processConfig = defineConfig({
  nats: option({
    flag: 'nats',
    env: 'FILBERT_NATS',
    schema: list(urlText({ schemes: ['nats:', 'tls:'] })),
    default: ['nats://127.0.0.1:4222'],
    description: 'The NATS server, or several of one cluster.',
  }),
  admin: adminOption,
  control: controlOption,
  controlToken: controlTokenOption,
  logLevel: logLevelOption,
  ...tracingOptions,
});

export type ProcessConfig = ConfigOf<typeof processConfig>;
