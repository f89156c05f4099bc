import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  Wait,
  type StartedNetwork,
  type StartedTestContainer,
} from 'testcontainers';

/** The repository's root, where the Dockerfile is. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The tag that compose and the manifests name too. */
export const IMAGE = 'filbert:0.1.0';
const NATS_IMAGE = 'nats:2.10';

const GNUTELLA_PORT = 6346;
const ADMIN_PORT = 9346;
/** A container may take this long until its health check passes, on a machine that does much else. */
const START_TIMEOUT_MS = 120_000;
/** Longer than a service's drain. */
const STOP_TIMEOUT_S = 60;

const run = promisify(execFile);

/** Runs the docker command line from the repository's root. @throws Error with what it said on stderr */
export async function docker(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const options = { cwd: ROOT, env: { ...process.env, ...env }, maxBuffer: 64 * 2 ** 20 };
  const { stdout } = await run('docker', args, options).catch((error: Error & { stderr?: string }) => {
    throw new Error(`docker ${args.join(' ')}: ${error.stderr ?? error.message}`, { cause: error });
  });
  return stdout.trim();
}

let built: Promise<void> | undefined;

/** Builds the image, once for all suites of a run, and removes what earlier builds left behind. */
export function buildImage(): Promise<void> {
  built ??= build();
  return built;
}

async function build(): Promise<void> {
  // By the command line: an image that testcontainers builds has labels of the run, so that it is another one each time.
  await docker(['build', '--tag', IMAGE, '.']);
  // Images that had the tag before.
  await docker(['image', 'prune', '--force', '--filter', 'label=org.opencontainers.image.title=Filbert']);
  // The classic builder keeps the stage that generates messages; the newest one, which comes first, spares the next build.
  const stage = ['--filter', 'dangling=true', '--filter', 'label=filbert.stage=messages'];
  const [, ...old] = (await docker(['images', '--quiet', ...stage])).split('\n');
  if (old.length > 0) await docker(['rmi', ...old]);
}

/** One service in a container. */
export interface ServiceContainer {
  readonly container: StartedTestContainer;
  /** Where peers reach it from this machine, for a service that takes peers. */
  readonly gnutella: { readonly host: string; readonly port: number };
  /** What it answers under a path of its admin server. */
  get(path: string): Promise<{ status: number; text: string }>;
  /** Ends it as an orchestrator does, removes it, and tells the code that it exited with. */
  stop(): Promise<number>;
}

/** A node out of containers over a network of its own, with a real NATS server. */
export class ContainerNode {
  readonly #network: StartedNetwork;
  readonly #running: { stop: () => Promise<unknown> }[] = [];

  private constructor(network: StartedNetwork) {
    this.#network = network;
  }

  /** Starts the network and the NATS server. */
  static async start(): Promise<ContainerNode> {
    const node = new ContainerNode(await new Network().start());
    try {
      const nats = await new GenericContainer(NATS_IMAGE)
        .withNetwork(node.#network)
        .withNetworkAliases('nats')
        .withCopyFilesToContainer([{ source: `${ROOT}k8s/base/nats.conf`, target: '/nats.conf' }])
        .withCommand(['--config', '/nats.conf'])
        .withWaitStrategy(Wait.forLogMessage('Server is ready'))
        .withStartupTimeout(START_TIMEOUT_MS)
        .start();
      node.#running.push(nats);
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  /** Starts a service and waits until its health check passes. */
  async service(name: string, env: Record<string, string> = {}): Promise<ServiceContainer> {
    const container = await new GenericContainer(IMAGE)
      .withNetwork(this.#network)
      .withCommand([name])
      .withEnvironment({ FILBERT_NATS: 'nats://nats:4222', ...env })
      .withExposedPorts(ADMIN_PORT, ...(name === 'connections' ? [GNUTELLA_PORT] : []))
      .withDroppedCapabilities('ALL')
      .withSecurityOpt('no-new-privileges')
      .withWaitStrategy(Wait.forHealthCheck())
      .withStartupTimeout(START_TIMEOUT_MS)
      .start();
    this.#running.push(container);
    const host = container.getHost();
    return {
      container,
      get gnutella() {
        return { host, port: container.getMappedPort(GNUTELLA_PORT) };
      },
      get: async (path) => {
        const response = await fetch(`http://${host}:${container.getMappedPort(ADMIN_PORT)}${path}`);
        return { status: response.status, text: await response.text() };
      },
      stop: async () => {
        const client = await getContainerRuntimeClient();
        const handle = client.container.getById(container.getId());
        await handle.stop({ t: STOP_TIMEOUT_S });
        const { State } = await handle.inspect();
        this.#running.splice(this.#running.indexOf(container), 1);
        await handle.remove({ v: true });
        return State.ExitCode;
      },
    };
  }

  /** Removes all containers, whatever their state, and the network. */
  async stop(): Promise<void> {
    const failed: unknown[] = [];
    for (const container of this.#running.splice(0).reverse()) {
      await container.stop().catch((error: unknown) => failed.push(error));
    }
    await this.#network.stop();
    if (failed.length > 0) throw new AggregateError(failed, 'containers could not be removed');
  }
}
