import { z } from 'zod';
import { docker } from './container-node.ts';

/** `docker compose ps --format json` prints an object a line. */
const psSchema = z.object({
  Service: z.string(),
  Name: z.string(),
  State: z.string(),
  ExitCode: z.number(),
  Health: z.string(),
});
export type ComposeContainer = z.infer<typeof psSchema>;

/** What `docker inspect` tells of a container. */
const inspectSchema = z.object({
  Config: z.object({ User: z.string() }),
  HostConfig: z.object({
    ReadonlyRootfs: z.boolean(),
    Privileged: z.boolean(),
    CapDrop: z.array(z.string()).nullable(),
    PortBindings: z.record(z.string(), z.array(z.object({ HostPort: z.string() }))).nullable(),
  }),
});
export type ContainerFacts = z.infer<typeof inspectSchema>;

/** `docker compose ls --format json` prints one array. */
const lsSchema = z.array(z.object({ Name: z.string() }));
const NAME_PREFIX = 'filbert-test-';

/** A container may take this long until its health check passes, on a machine that does much else. */
const WAIT_TIMEOUT_S = 300;
/** Longer than a service's drain. */
const STOP_TIMEOUT_S = 60;
/** The repository's `docker-compose.yml` under a project name of its own. */
export class ComposeProject {
  readonly name = `${NAME_PREFIX}${process.pid}`;
  readonly #env: Record<string, string>;

  /** @param env - what the compose file takes from the environment */
  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  /** Runs `docker compose`. @throws Error with what it said on stderr */
  run(...args: string[]): Promise<string> {
    return docker(['compose', '-p', this.name, ...args], this.#env);
  }

  /** Removes what test runs that were cut short left: an engine starts such containers again whenever it starts. */
  async removeAbandoned(): Promise<void> {
    const projects = lsSchema.parse(JSON.parse(await docker(['compose', 'ls', '--all', '--format', 'json'])));
    for (const { Name } of projects) {
      const pid = Name.startsWith(NAME_PREFIX) ? Number(Name.slice(NAME_PREFIX.length)) : Number.NaN;
      if (!Number.isSafeInteger(pid) || isAlive(pid)) continue;
      await docker(['compose', '-p', Name, 'down', '--volumes', '--timeout', '1'], this.#env);
    }
  }

  /** Starts what does not run and waits until every health check passes. */
  async up(...args: string[]): Promise<void> {
    await this.run('up', '--detach', '--wait', '--wait-timeout', String(WAIT_TIMEOUT_S), ...args);
  }

  /** Ends everything as an orchestrator does. */
  async stop(): Promise<void> {
    await this.run('stop', '--timeout', String(STOP_TIMEOUT_S));
  }

  /** Removes everything, data too. */
  async remove(): Promise<void> {
    await this.run('down', '--volumes', '--timeout', String(STOP_TIMEOUT_S));
  }

  async containers(): Promise<ComposeContainer[]> {
    const lines = (await this.run('ps', '--all', '--format', 'json')).split('\n');
    return lines.map((line) => psSchema.parse(JSON.parse(line)));
  }

  async inspect({ Name }: ComposeContainer): Promise<ContainerFacts> {
    return inspectSchema.parse(JSON.parse(await docker(['inspect', '--format', '{{json .}}', Name])));
  }

  /** Runs a command in a container of a service, by its number from 1. */
  exec(service: string, number: number, ...command: string[]): Promise<string> {
    return this.run('exec', '-T', '--index', String(number), service, ...command);
  }

  /** Runs the command line, in the container of a service. */
  filbert(service: string, number: number, ...args: string[]): Promise<string> {
    return this.exec(service, number, 'filbert', ...args);
  }

  /** The address of this machine as containers see it. */
  gateway(): Promise<string> {
    return docker(['network', 'inspect', `${this.name}_default`, '--format', '{{(index .IPAM.Config 0).Gateway}}']);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
