import { randomBytes } from 'node:crypto';
import { open, readFile, readlink, readdir, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { pause } from '../timing/pause.ts';
import { HostsConfigError } from './hosts-error.ts';

/** Begins the names of lock files. */
export const LOCK = '.peerglass-lock.';

/** Bounds of a {@link lockFolder}, in milliseconds. */
export interface FolderLockInit {
  /** How long another holder is waited for; longer than `silenceMs`. 20,000 by default. */
  readonly waitMs?: number;
  /** After which a holder of whom nothing else can be known counts as dead. 10,000 by default. */
  readonly silenceMs?: number;
}

/** How often a holder says that it lives, in milliseconds. */
const HEARTBEAT_MS = 1_000;
/** Between two tries, at random up to this many milliseconds. */
const RETRY_MS = 100;

/**
 * Takes a folder for this process alone, as far as other agents go.
 *
 * Whoever wants the folder creates a file of its own, and has it when there is no other one; else it takes its own away
 * and comes back. So a file is only ever removed by its owner, or after its owner died, and no two can come to think
 * that the same file is stale. The name tells the process: boot, PID namespace, PID and start time. Of a process in
 * another namespace, a container, that cannot be looked up; there the time of the file has to move.
 *
 * @throws HostsConfigError when another one does not let go, the system's errors, or the signal's reason
 */
export async function lockFolder(
  path: string,
  { waitMs = 20_000, silenceMs = 10_000 }: FolderLockInit,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  const self = await selfName();
  const silent = new Silence(silenceMs);
  const until = performance.now() + waitMs;
  for (;;) {
    signal.throwIfAborted();
    const file = join(path, `${LOCK}${self}.${randomBytes(4).toString('hex')}`);
    await (await open(file, 'wx', 0o600)).close();
    let others: string[];
    try {
      others = await livingOthers(path, file, self, silent);
    } catch (error) {
      await release(file);
      throw error;
    }
    if (others.length === 0) return hold(file);
    await release(file);
    if (performance.now() > until) {
      throw new HostsConfigError(
        `another process is configuring ${path} (${others.join(', ')}); try again, or stop it`,
      );
    }
    await pause(RETRY_MS * (0.5 + Math.random() / 2), signal);
  }
}

function hold(file: string): AsyncDisposable {
  const heartbeat = setInterval(() => {
    const now = new Date();
    // Should it fail, others may take the folder; they would have to wait for ever otherwise.
    utimes(file, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(heartbeat);
      await release(file);
    },
  };
}

async function release(file: string): Promise<void> {
  await unlink(file).catch((error: unknown) => {
    // Gone with its folder.
    if (!hasCode(error, 'ENOENT')) throw error;
  });
}

/** Names of the lock files of others; those of the dead are removed. */
async function livingOthers(
  path: string,
  own: string,
  self: string,
  silent: Silence,
): Promise<string[]> {
  const living: string[] = [];
  for (const name of (await readdir(path)).filter((each) => each.startsWith(LOCK))) {
    const file = join(path, name);
    if (file === own) continue;
    const state = await stateOf(name.slice(LOCK.length), self);
    if (state === 'alive' || (state === 'unknown' && !(await silent.isLong(file))))
      living.push(name);
    else await release(file);
  }
  return living;
}

/** `BOOT-NAMESPACE-PID-START`: what no two processes have in common. */
async function selfName(): Promise<string> {
  const boot = await read('/proc/sys/kernel/random/boot_id');
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
  const start = await startOf(process.pid);
  return [boot.slice(0, 8), namespace.replaceAll(/\D/g, ''), process.pid, start ?? ''].join('-');
}

async function stateOf(name: string, self: string): Promise<'alive' | 'dead' | 'unknown'> {
  const [boot, namespace, pid, start] = name.split(/[-.]/);
  const [ownBoot, ownNamespace] = self.split('-');
  if (boot === '' || ownBoot === '') return 'unknown';
  if (boot !== ownBoot) return 'dead';
  if (namespace === '' || namespace !== ownNamespace) return 'unknown';
  return (await startOf(Number(pid))) === start ? 'alive' : 'dead';
}

/** When a process started, in ticks since the boot; undefined when there is none. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await read(`/proc/${pid}/stat`);
  // The name in parentheses may have anything in it. proc(5): starttime is field 22.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
}

/** Watches the times of files, by our own clock. */
class Silence {
  readonly #silenceMs: number;
  readonly #seen = new Map<string, { readonly time: number; readonly at: number }>();

  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
  }

  /** Whether the file has had the same time for long. */
  async isLong(file: string): Promise<boolean> {
    const time = await stat(file).then(
      (entry) => entry.mtimeMs,
      () => 0,
    );
    const before = this.#seen.get(file);
    if (before?.time !== time) {
      this.#seen.set(file, { time, at: performance.now() });
      return false;
    }
    return performance.now() - before.at >= this.#silenceMs;
  }
}
