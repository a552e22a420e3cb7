/**
 * @file What a server costs: CPU and memory of a process with its children, and bytes on disk.
 * Linux only, from /proc.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Ticks a second in /proc; fixed at 100 for user space on every Linux platform. */
const ticksPerSecond = 100;

interface ProcessStat {
  readonly parent: number;
  readonly cpuSeconds: number;
}

/** Of /proc/<pid>/stat: field 4 is the parent, 14 and 15 user and system time of all threads. */
function readStat(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { parent: Number(fields[1]), cpuSeconds: ticks / ticksPerSecond };
  } catch {
    return undefined;
  }
}

/** The process and everything that descends from it: a launcher may start the real server. */
function processTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? readStat(Number(name))?.parent : undefined;
    if (parent !== undefined) {
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    }
  }
  const tree = [pid];
  for (const one of tree) {
    tree.push(...(children.get(one) ?? []));
  }
  return tree;
}

/** User and system seconds so far, of all threads. */
export function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + (readStat(one)?.cpuSeconds ?? 0), 0);
}

/** Resident bytes, mapped files included. */
export function residentBytes(pid: number): number {
  return processTree(pid).reduce((sum, one) => {
    const status = readFileSync(`/proc/${one}/status`, 'utf8');
    return sum + Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  }, 0);
}

/** Waits until the process does next to nothing, so that background work is counted too. */
export async function settle(pid: number, limitMs: number): Promise<void> {
  const deadline = Date.now() + limitMs;
  let before = cpuSeconds(pid);
  while (Date.now() < deadline) {
    await delay(1000);
    const now = cpuSeconds(pid);
    if (now - before < 0.05) {
      return;
    }
    before = now;
  }
}

/** Allocated bytes of every file under `dir` whose path passes `keep`, as `du` counts. */
export function diskBytes(dir: string, keep: (path: string) => boolean = () => true): number {
  let sum = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && keep(path)) {
      sum += statSync(path).blocks * 512;
    }
  }
  return sum;
}
