import { lookup } from 'node:dns/promises';
import { createRpcClient, formatHostPort, type HostPort } from '@filbert/kit';
import type { ServiceKind } from '../service-kinds.ts';
import type { ControlledProcess, RpcClient } from './asking.ts';

/** How often names are looked up again while a command runs, ms: containers come and go. */
const LOOK_UP_INTERVAL_MS = 5_000;
/** Processes of one service that are asked; further addresses of its name are passed over. */
const MAX_PROCESSES = 64;

/** @returns the addresses of a host name @throws where it has none */
export type LookUp = (host: string) => Promise<readonly string[]>;

export interface ServiceProcessesOptions {
  readonly kind: ServiceKind;
  readonly address: HostPort;
  readonly token: string | undefined;
  readonly lookUp?: LookUp;
  /** Between two looks, ms; by default `LOOK_UP_INTERVAL_MS`. */
  readonly intervalMs?: number;
}

interface KnownProcess extends ControlledProcess {
  readonly client: RpcClient;
}

/** The processes of one service, which share a name: one for each address that the name has. */
export class ServiceProcesses {
  /** Never empty: before the first look, and where the name has no address, there is one that takes no calls. */
  readonly processes: ControlledProcess[];
  readonly #options: ServiceProcessesOptions;
  /** By host. */
  readonly #known = new Map<string, KnownProcess>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServiceProcessesOptions) {
    this.#options = options;
    this.processes = [{ name: this.#name, client: undefined }];
  }

  /** Looks who is there, and again from time to time until `close`. Never rejects. */
  async start(): Promise<void> {
    await this.#look();
    this.#timer = setInterval(() => void this.#look(), this.#options.intervalMs ?? LOOK_UP_INTERVAL_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { client } of this.#known.values()) client.close();
    this.#known.clear();
  }

  /** Whichever it is of a service that has one process. */
  get first(): ControlledProcess {
    const { processes } = this;
    return {
      get name() {
        return processes[0]?.name ?? '';
      },
      get client() {
        return processes[0]?.client;
      },
    };
  }

  get #name(): string {
    return `${this.#options.kind} at ${formatHostPort(this.#options.address)}`;
  }

  async #look(): Promise<void> {
    const { address, lookUp = systemLookUp } = this.#options;
    const hosts = new Set((await lookUp(address.host).catch(() => [])).slice(0, MAX_PROCESSES));
    // A name server that is away for a moment says nothing of those that are there.
    if (hosts.size === 0) return;
    for (const [host, { client }] of this.#known) {
      if (hosts.has(host)) continue;
      this.#known.delete(host);
      client.close();
    }
    for (const host of hosts) if (!this.#known.has(host)) this.#known.set(host, this.#reach(host));
    // In place: calls look at this very list.
    this.processes.splice(0, this.processes.length, ...this.#known.values());
  }

  #reach(host: string): KnownProcess {
    const { kind, token, address } = this.#options;
    const one = { host, port: address.port };
    return { name: `${kind} at ${formatHostPort(one)}`, client: createRpcClient({ address: one, token }) };
  }
}

async function systemLookUp(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}
