import { randomBytes } from 'node:crypto';
import { open, readFile, readlink, readdir, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { pause } from '../timing/pause.ts';
import { HostsConfigError } from './hosts-error.ts';

/** Prefix of the names of lock files. */
export const LOCK = '.peerglass-lock.';

/** Time limits of {@link lockFolder}, in milliseconds. */
export interface FolderLockInit {
  /** How long to wait for another holder; must be longer than `silenceMs`. Default 20,000. */
  readonly waitMs?: number;
  /** Age of the last heartbeat after which a holder in another PID namespace counts as dead. Default 10,000. */
  readonly silenceMs?: number;
}

/** Interval of a holder's heartbeats, in milliseconds. */
const HEARTBEAT_MS = 1_000;
/** Longest wait between two attempts, in milliseconds; the wait is random. */
const RETRY_MS = 100;

/**
 * Locks a folder against other agents.
 *
 * A process that wants the lock creates a file of its own. It holds the lock if there is no other such file; otherwise it
 * removes its file and tries again. A file is removed only by its owner, or after its owner has died, so two processes
 * never both take over the same stale file. The name identifies the process by boot, PID namespace, PID and start time.
 * A process in another PID namespace (a container) cannot be looked up; it counts as alive while it updates its file's time.
 *
 * @throws HostsConfigError when another process keeps the lock, errors of the system, or the signal's reason
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
    // If this fails, others may take the lock. Otherwise they would wait forever.
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
    // Removed together with its folder.
    if (!hasCode(error, 'ENOENT')) throw error;
  });
}

/** Names of the lock files of other living processes. Lock files of dead processes are removed. */
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

/** `BOOT-NAMESPACE-PID-START`, which is unique to this process. */
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

/** Start time of a process, in clock ticks since boot; undefined if it does not exist. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await read(`/proc/${pid}/stat`);
  // The name in parentheses may contain any character. proc(5): starttime is field 22.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
}

/** Detects lock files without heartbeats. It measures with the local clock, because file times may come from another clock. */
class Silence {
  readonly #silenceMs: number;
  readonly #seen = new Map<string, { readonly time: number; readonly at: number }>();

  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
  }

  /** Whether the file's time has not changed for {@link FolderLockInit.silenceMs}. */
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
