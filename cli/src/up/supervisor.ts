import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  collectProcessMetrics,
  createAdminServer,
  createLifecycle,
  createLogger,
  createMetrics,
  createReadiness,
  createRpcServer,
  formatHostPort,
  makeFolder,
  runService,
  type Component,
  type Readiness,
} from '@filbert/kit';
import type { NodeConfig } from '../node-config.ts';
import { CompileCache, FILLING_TIMEOUT_MS } from './compile-cache.ts';
import { fanOutControl } from '../control/fan-out.ts';
import { gatheredMetrics } from './gathered-metrics.ts';
import { findNatsServer, givenNats, OwnNats, type NatsSource } from './nats-source.ts';
import { OrphanGuard } from './orphan-guard.ts';
import { sharedAddress } from './ports.ts';
import { SERVICE_STOP_TIMEOUT_MS, ServiceChild, type ServicePlan } from './service-child.ts';
import { planServices } from './service-plans.ts';
import { sayStartFailed, serving, withControlFile, type OutputForm } from './serving.ts';
import { declareMetrics } from './supervisor-metrics.ts';

/** What is waited for may take as long as it takes: the longest time of a timer. */
const FOR_EVER_MS = 2 ** 31 - 1;
/** What the node waits for is said this often, ms. */
const WAITING_INTERVAL_MS = 5_000;
/** Beyond the time that a process has to stop, for its end to be noticed, ms. */
const STOP_MARGIN_MS = 2_000;
/** The readiness condition of the NATS server. */
const NATS = 'nats';

/**
 * Runs each service as a process of its own over NATS: starts them in order, starts again what dies, gathers what they
 * report behind one admin and one control address, and stops them in reverse order. Resolves with the exit code.
 *
 * A NATS server belongs to one node: a second one that is given the same server would follow the same subjects and take the
 * first one's frames for its own. Nodes that start their own never meet.
 * @throws CommandError with a sentence where the node cannot be started at all
 */
export async function runProcesses(config: NodeConfig, form: OutputForm): Promise<number> {
  const natsBinary = config.up.nats.length > 0 ? undefined : findNatsServer(process.env['PATH'] ?? '');
  const listen = await sharedAddress(config.connections.listen);
  makeDataFolder(config.bootstrap.data);
  const logger = createLogger({ level: config.up.logLevel, name: 'filbert' });
  const metrics = createMetrics({ service: 'supervisor' });
  collectProcessMetrics(metrics.registry);
  const guard = new OrphanGuard();
  const readiness = createReadiness([NATS]);
  const nats: NatsSource =
    natsBinary === undefined
      ? givenNats(config.up.nats, say)
      : new OwnNats({
          binary: natsBinary,
          guard,
          logger,
          store: join(config.bootstrap.data, 'nats'),
          onUp: (up) => readiness.set(NATS, up),
        });

  // The services' own ports answer the supervisor only, whatever token the node's control address asks for.
  const controlToken = randomBytes(24).toString('hex');
  const cache = new CompileCache(join(config.bootstrap.data, 'compile-cache'), guard, logger);
  const plans = planServices({
    config,
    nats: () => nats.servers,
    listen,
    controlToken,
    cacheEnv: () => cache.env,
    env: process.env,
  });
  const makeChild = (plan: ServicePlan): ServiceChild => {
    readiness.set(plan.name, false);
    const onReady = (ready: boolean): void => readiness.set(plan.name, ready);
    return new ServiceChild({ plan, controlToken, guard, logger, onReady });
  };
  const bootstrap = makeChild(plans.bootstrap);
  const routers = plans.routers.map(makeChild);
  const searchIndex = makeChild(plans.searchIndex);
  const transfers = plans.transfers.map(makeChild);
  const connections = plans.connections.map(makeChild);
  const children = [bootstrap, ...routers, searchIndex, ...transfers, ...connections];
  const missing = declareMetrics(metrics, children, nats);

  const admin = createAdminServer({
    listen: config.up.admin,
    metrics: gatheredMetrics({
      own: metrics.registry,
      processes: children,
      onMissing: (name, problem) => {
        missing.scrapes++;
        logger.warn({ process: name, problem }, 'did not tell its metrics');
      },
    }),
    readiness,
    logger,
  });
  const control = createRpcServer({
    listen: config.up.control,
    services: fanOutControl({ bootstrap, routers, connections, searchIndex, transfers }),
    health: readiness,
    logger,
    metrics,
    token: config.up.controlToken,
  });

  const lifecycle = createLifecycle({
    logger,
    readiness,
    components: [
      { name: 'admin', start: async () => void (await admin.start()), stop: () => admin.stop() },
      { name: 'guard', start: () => guard.start(), stop: () => guard.stop() },
      {
        name: NATS,
        start: async (signal) => {
          await nats.start(signal);
          readiness.set(NATS, true);
        },
        stop: () => nats.stop(),
        timeoutsMs: { start: FOR_EVER_MS },
      },
      {
        name: 'compile cache',
        start: (signal) => cache.fill(signal),
        stop: () => cache.stop(),
        timeoutsMs: { start: FILLING_TIMEOUT_MS + STOP_MARGIN_MS },
      },
      services('bootstrap', [bootstrap]),
      // All that needs no more than the node's facts; peers are let in when these are there.
      services('services', [...routers, searchIndex, ...transfers]),
      services('connections', connections),
      { name: 'control', start: async () => void (await control.start()), stop: () => control.stop() },
      withControlFile(config, () => ({
        control: control.address,
        admin: admin.address,
        gnutella: formatHostPort(listen),
      })),
    ],
  });
  serving(readiness, form, () => ({ gnutella: formatHostPort(listen), admin: admin.address }));
  sayWaiting(readiness);
  // Also after a second signal, which ends this process without waiting.
  process.once('exit', () => {
    for (const child of children) child.kill();
    nats.kill();
  });
  return runService({ lifecycle, logger, onStartFailed: sayStartFailed });
}

/** The processes of one kind, started and stopped together. */
function services(name: string, children: readonly ServiceChild[]): Component {
  return {
    name,
    start: async () => {
      await Promise.all(
        children.map(async (child) => {
          try {
            await child.start();
          } catch (cause) {
            const why = cause instanceof Error ? cause.message : String(cause);
            throw new Error(child.name === name ? why : `${child.name}: ${why}`, { cause });
          }
        }),
      );
    },
    stop: async () => {
      await Promise.all(children.map((child) => child.stop()));
    },
    timeoutsMs: { start: FOR_EVER_MS, stop: SERVICE_STOP_TIMEOUT_MS + STOP_MARGIN_MS },
  };
}

/** Before any process does, for only its owner may look into it. */
function makeDataFolder(folder: string): void {
  try {
    makeFolder(folder);
  } catch {
    // Bootstrap has the sentence for it.
  }
}

function say(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}

/** Says every few seconds what the node waits for, until it serves. The wait for a NATS server speaks for itself. */
function sayWaiting(readiness: Readiness): void {
  const timer = setInterval(() => {
    const [first, ...others] = readiness.waitingFor().filter((condition) => condition !== 'running');
    if (first !== undefined && first !== NATS) say(`waiting for ${[first, ...others].join(', ')}`);
  }, WAITING_INTERVAL_MS);
  timer.unref();
  const done = readiness.onChange(() => {
    clearInterval(timer);
    done();
  });
}
