import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { HostPort } from '../config/values.ts';
import type { Readiness } from '../lifecycle/readiness.ts';
import type { Logger } from '../log/logger.ts';
import { listenError } from './listen-error.ts';

// An import would read every export, and some of them load the whole of undici: a tenth of the start of a service.
const { createServer } = process.getBuiltinModule('node:http');

/** Most connections to the admin port at once; further ones are closed. */
export const MAX_ADMIN_CONNECTIONS = 64;
/** Most bytes of request line and headers. */
export const MAX_ADMIN_HEADER_BYTES = 8 * 1024;
/** Longest time for the headers of a request to arrive, in ms. */
export const ADMIN_HEADERS_TIMEOUT_MS = 5_000;
/** Longest time for a whole request to arrive, in ms. */
export const ADMIN_REQUEST_TIMEOUT_MS = 10_000;
/** Longest time that a connection may lie idle, also with an answer that its reader does not take, in ms. */
export const ADMIN_IDLE_TIMEOUT_MS = 30_000;
/** Longest time that making an answer may take, in ms. */
export const ADMIN_ANSWER_TIMEOUT_MS = 10_000;

/** Where the metrics come from; a prom-client `Registry` is one. */
export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
  getMetricsAsJSON(): Promise<unknown>;
}

export interface AdminServerOptions {
  /** Port 0: the system chooses. */
  readonly listen: HostPort;
  readonly metrics: MetricsSource;
  readonly readiness: Readiness;
  readonly logger: Logger;
}

/** HTTP for operators and probes: `/metrics`, `/metrics.json`, `/livez`, `/readyz`. */
export interface AdminServer {
  /** Where it listens, once started. */
  readonly address: HostPort | undefined;
  /** Begins to listen and returns where. @throws ListenError */
  start(): Promise<HostPort>;
  /** Stops listening and closes all connections. */
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

type Route = () => Answer | Promise<Answer>;

/** Makes an admin server. Only GET and HEAD are answered; everything about a connection is bounded. */
export function createAdminServer({ listen, metrics, readiness, logger }: AdminServerOptions): AdminServer {
  const routes = new Map<string, Route>([
    ['/livez', () => text(200, 'ok\n')],
    ['/readyz', () => readyAnswer(readiness)],
    [
      '/metrics',
      shared(async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.metrics() })),
    ],
    ['/metrics.json', shared(async () => json(200, await metrics.getMetricsAsJSON()))],
  ]);
  const server = createServer(
    {
      maxHeaderSize: MAX_ADMIN_HEADER_BYTES,
      headersTimeout: ADMIN_HEADERS_TIMEOUT_MS,
      requestTimeout: ADMIN_REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: ADMIN_HEADERS_TIMEOUT_MS,
    },
    (request, response) => void respond(routes, request, response, logger),
  );
  server.maxConnections = MAX_ADMIN_CONNECTIONS;
  server.setTimeout(ADMIN_IDLE_TIMEOUT_MS);

  let address: HostPort | undefined;
  return {
    get address() {
      return address;
    },
    async start() {
      address = await listenOn(server, listen);
      server.on('error', (error) => logger.error({ err: error }, 'admin server'));
      logger.info({ ...address }, 'admin server listens');
      return address;
    },
    stop() {
      address = undefined;
      return new Promise((resolve) => {
        // The error of a server that was not listening says only that there is nothing to do.
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function listenOn(server: Server, listen: HostPort): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(listenError('admin', listen, error));
    server.once('error', onError);
    server.listen({ host: listen.host, port: listen.port }, () => {
      server.off('error', onError);
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
      resolve({ host: listen.host, port });
    });
  });
}

async function respond(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  const { method = '', url = '' } = request;
  const path = url.split('?', 1)[0] ?? '';
  let answer: Answer;
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    // A body may follow that nobody will read.
    response.setHeader('connection', 'close');
    answer = text(405, 'only GET and HEAD\n');
  } else {
    const route = routes.get(path);
    try {
      answer = route === undefined ? text(404, `one of ${[...routes.keys()].join(' ')}\n`) : await inTime(route);
    } catch (error) {
      logger.error({ err: error, path }, 'admin request failed');
      answer = text(500, 'see the log\n');
    }
  }
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(method === 'HEAD' ? undefined : answer.body);
}

async function inTime(route: Route): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer within ${ADMIN_ANSWER_TIMEOUT_MS} ms`)),
      ADMIN_ANSWER_TIMEOUT_MS,
    );
  });
  try {
    return await Promise.race([route(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Requests that come while an answer is being made get that answer, so that many scrapers cost no more than one. */
function shared(route: () => Promise<Answer>): Route {
  let underWay: Promise<Answer> | undefined;
  return () => {
    underWay ??= route().finally(() => (underWay = undefined));
    return underWay;
  };
}

function readyAnswer(readiness: Readiness): Answer {
  const ready = readiness.isReady();
  return json(ready ? 200 : 503, { ready, waitingFor: readiness.waitingFor() });
}

function text(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

function json(status: number, value: unknown): Answer {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value)}\n` };
}
