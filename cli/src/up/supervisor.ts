import { formatHostPort } from '@filbert/kit';
import type { NodeConfig } from '../node-config.ts';

/** Placeholder until the multi-process form is here. */
export function runProcesses(config: NodeConfig): Promise<number> {
  throw new Error(`--processes is not built yet (${formatHostPort(config.up.admin)})`);
}
