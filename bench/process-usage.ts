import { commandName, descendants, statFields } from '../test/support/process-tree.ts';

/** Clock ticks of /proc/PID/stat in a second: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Bytes of a memory page. */
const PAGE_BYTES = 4096;

/** What some processes used. */
export interface Usage {
  processes: number;
  /** User and system time since they started, in s. */
  cpuSeconds: number;
  residentBytes: number;
}

/** The node's processes, and the NATS server that it started apart. */
export interface NodeUsage {
  filbert: Usage;
  nats: Usage;
}

/** What a process and all below it have used until now. */
export function nodeUsage(rootPid: number): NodeUsage {
  const usage: NodeUsage = { filbert: noUsage(), nats: noUsage() };
  for (const pid of [rootPid, ...descendants(rootPid).map((process) => process.pid)]) {
    const fields = statFields(pid);
    if (fields === undefined) continue;
    const sum = commandName(pid).startsWith('nats-server') ? usage.nats : usage.filbert;
    sum.processes++;
    // Fields 14 and 15 of the page are user and system time, 24 is the resident set; two are cut off before the state.
    sum.cpuSeconds += (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    sum.residentBytes += Number(fields[21]) * PAGE_BYTES;
  }
  return usage;
}

function noUsage(): Usage {
  return { processes: 0, cpuSeconds: 0, residentBytes: 0 };
}
