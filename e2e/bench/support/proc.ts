import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Linux gives CPU times in hundredths of a second, whatever the kernel's own clock is. */
const MS_PER_TICK = 10;

/** CPU of a process that is idle, in milliseconds a second: no more than this, and no more falling. Fifty of them share the machine. */
const IDLE = 5;
const FALLING = 0.8;
const WINDOW_MS = 3000;
const SETTLED_WITHIN_MS = 120_000;

/** Memory of a process in bytes. */
export interface Memory {
  readonly rss: number;
  /** Of it, what belongs to no file: heap and buffers. */
  readonly anonymous: number;
}

/** CPU time that the process has taken since its start, user and system, in milliseconds. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold blanks and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** CPU time of the processes and of all that descend from them and still run: nginx works in children. */
export async function treeCpuMs(pids: readonly number[]): Promise<number> {
  let total = 0;
  for (const pid of pids) {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    const below = children.split(' ').filter(Boolean).map(Number);
    total += (await cpuMs(pid)) + (await treeCpuMs(below));
  }
  return total;
}

/** Busy time of all processors since the start of the machine, in milliseconds, of all processes. */
export async function machineBusyMs(): Promise<number> {
  const [, ...fields] = (await readFile('/proc/stat', 'utf8')).split('\n', 1)[0]?.split(/ +/) ?? [];
  const [user = NaN, nice = NaN, system = NaN, , , irq = NaN, softirq = NaN] = fields.map(Number);
  return (user + nice + system + irq + softirq) * MS_PER_TICK;
}

/** CPU time of several processes together. */
export async function totalCpuMs(pids: readonly number[]): Promise<number> {
  const times = await Promise.all(pids.map(cpuMs));
  return times.reduce((sum, time) => sum + time, 0);
}

/** Memory of the process at this moment. */
export async function memory(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? NaN) * 1024;
  return { rss: bytes('Rss'), anonymous: bytes('Anonymous') };
}

/**
 * Waits until the processes on average take little CPU that does not get less any more, or two minutes.
 *
 * @returns what one of them takes then, in milliseconds a second
 */
export async function settled(pids: readonly number[]): Promise<number> {
  const end = performance.now() + SETTLED_WITHIN_MS;
  let before = await totalCpuMs(pids);
  let last = Infinity;
  while (performance.now() < end) {
    await sleep(WINDOW_MS);
    const now = await totalCpuMs(pids);
    const rate = (now - before) / pids.length / (WINDOW_MS / 1000);
    if (rate < IDLE && rate > last * FALLING) return rate;
    before = now;
    last = rate;
  }
  return last;
}
