import { readdirSync, readFileSync } from 'node:fs';

/** Processes as /proc shows them: whose children they are, and that an id still means the same process. */

/** One process, told from a later one with the same id by its start time. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks after boot, as /proc writes it. */
  readonly startTicks: string;
}

/** The fields of /proc/PID/stat after the name, which may itself hold spaces; undefined when there is no such process. */
export function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** The most memory that a process had resident since it started, in bytes; 0 when there is no such process. */
export function peakResidentBytes(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The command name of a process, at most 15 bytes; empty when there is no such process. */
export function commandName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** The process with this id now, or undefined when there is none or only its exit status is left. */
export function identify(pid: number): ProcessId | undefined {
  const fields = statFields(pid);
  if (fields === undefined || fields[0] === 'Z') return undefined;
  return { pid, startTicks: fields[19] ?? '' };
}

/** Whether that very process still runs. */
export function isRunning(process: ProcessId): boolean {
  return identify(process.pid)?.startTicks === process.startTicks;
}

/** Every process below `root`, nearest first, without `root`. */
export function descendants(root: number): ProcessId[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))?.[1] ?? 0);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  const order = [root];
  for (const pid of order) order.push(...(children.get(pid) ?? []));
  return order.slice(1).flatMap((pid) => identify(pid) ?? []);
}

/** Kills that very process, and not one that got its id later. */
export function killProcess(target: ProcessId): void {
  if (!isRunning(target)) return;
  try {
    process.kill(target.pid, 'SIGKILL');
  } catch {
    // It ended in between, which is what was wanted.
  }
}
