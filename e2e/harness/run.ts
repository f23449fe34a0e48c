import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  controlGroupNames,
  controlGroups,
  processesInGroup,
  removeGroup,
} from './control-groups.ts';

/**
 * A run is one process that uses the harness. Everything it makes outside itself carries its name: one folder (short,
 * because Unix socket paths end at 108 bytes), network namespaces, control groups of pods, and a list of the processes
 * it started. So whatever is left can be found and removed: when the process ends, on a signal, or, when it was killed
 * outright, by the next run.
 */
const PREFIX = 'pge2e';
const RUN_NAME = `${PREFIX}-${process.pid}`;

let directory: string | undefined;

/** The run's name, to begin the names of things with that live outside its folder. */
export function runName(): string {
  return RUN_NAME;
}

/** The run's folder; the first call creates it, removes what dead runs left and sees to the clean-up of this one. */
export function runDirectory(): string {
  if (directory === undefined) {
    sweepStale();
    directory = join(tmpdir(), RUN_NAME);
    mkdirSync(directory, { mode: 0o755 });
    writeFileSync(join(directory, 'owner'), `${process.pid} ${startTime(process.pid) ?? ''}`);
    process.once('exit', () => {
      sweep(RUN_NAME);
    });
    for (const [signal, number] of [
      ['SIGHUP', 1],
      ['SIGINT', 2],
      ['SIGTERM', 15],
    ] as const) {
      process.once(signal, () => {
        process.exit(128 + number);
      });
    }
  }
  return directory;
}

/** Notes that the run started this process (a group leader), so that it is ended with the run at the latest. */
export function recordChild(pid: number): void {
  const start = startTime(pid);
  if (start !== undefined) appendFileSync(join(runDirectory(), 'children'), `${pid} ${start}\n`);
}

/** Removes what runs left behind whose process is no more. */
export function sweepStale(): void {
  const names = new Set<string>();
  for (const entry of [...list(tmpdir()), ...list('/run/netns'), ...controlGroupNames(PREFIX)]) {
    const match = new RegExp(`^${PREFIX}-(\\d+)`).exec(entry);
    if (match !== null) names.add(match[0]);
  }
  for (const name of names) if (!isAlive(name)) sweep(name);
}

/** Ends and removes all that belongs to the run. Synchronous: the only kind of work an exiting process can do. */
function sweep(name: string): void {
  const folder = join(tmpdir(), name);
  const namespaces = list('/run/netns').filter((entry) => entry.startsWith(`${name}-`));
  const pids = recordedChildren(folder);
  // A process in our own namespace is ours or a child of ours, containerd's shims for instance.
  for (const namespace of namespaces) pids.push(...processesIn(namespace));
  const groups = controlGroups(name);
  for (const group of groups) pids.push(...processesInGroup(group));
  for (const pid of pids) kill(pid);
  waitForEnd(pids);
  // Deepest first; lazily, because a mount that is still busy must not keep all the others.
  for (const target of mountsBelow(folder)) spawnSync('umount', ['--lazy', target]);
  for (const namespace of namespaces) spawnSync('ip', ['netns', 'delete', namespace]);
  for (const group of groups) removeGroup(group);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

function isAlive(name: string): boolean {
  const pid = Number(name.slice(PREFIX.length + 1));
  const owner = read(join(tmpdir(), name, 'owner'));
  const start = startTime(pid);
  // Without the owner's file only the pid can speak for the run: better to leave a stranger's things alone.
  return start !== undefined && (owner === undefined || owner === `${pid} ${start}`);
}

function recordedChildren(folder: string): number[] {
  const lines = (read(join(folder, 'children')) ?? '').split('\n').filter((line) => line !== '');
  return lines
    .map((line) => line.split(' '))
    .filter(([pid, start]) => startTime(Number(pid)) === start)
    .map(([pid]) => Number(pid));
}

function processesIn(namespace: string): number[] {
  const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean).map(Number);
}

function kill(pid: number): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // Gone already, or not the leader of a group.
    }
  }
}

function waitForEnd(pids: readonly number[]): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const isRunning = (pid: number): boolean => {
    const state = statFields(pid)?.[0];
    return state !== undefined && state !== 'Z';
  };
  for (let tries = 0; tries < 100 && pids.some(isRunning); tries++) Atomics.wait(clock, 0, 0, 20);
}

function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${folder}/`))
    .reverse();
}

/** The fields of `/proc/PID/stat` behind the command's name, which may hold blanks itself. */
function statFields(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Start of the process in clock ticks since boot. It tells whether the system has reused a pid. */
function startTime(pid: number): string | undefined {
  return statFields(pid)?.[19];
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
