import { watch, type BigIntStats, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import type { Logger } from 'pino';

import { Backoff } from '../timing/backoff.ts';
import { Deadline } from '../timing/deadline.ts';
import { isAborted } from '../timing/pause.ts';
import { Wakeup } from '../timing/wakeup.ts';
import { hasCode, isMissing } from '../errors/system-error.ts';

export interface FolderWatchInit {
  readonly path: string;
  readonly logger: Logger;
  /** Called when an entry was created, removed or renamed, and when it was written to if `contents` is set. */
  readonly onEntry: (name: string) => void;
  /** Called when the watch of the folder begins. Changes before this call were not reported. */
  readonly onUp: () => void;
  /** Called when the folder was removed or replaced. */
  readonly onDown?: () => void;
  /** Whether writes to an entry are reported; false by default. */
  readonly contents?: boolean;
  /**
   * Milliseconds between checks whether `path` leads to the same folder, or to one at last, while no watch reports that;
   * 2,000 by default.
   */
  readonly checkInterval?: number;
}

/**
 * How much longer the interval is while a watch reports that the folder is removed, renamed or created. What no watch
 * reports is that a folder above it is replaced, or that a file system is mounted there.
 */
const WATCHED_FACTOR = 5;

/**
 * Reports changes of the entries of one folder, which may be created, removed and replaced meanwhile. It takes one
 * kernel watch (inotify) for any number of entries. The kernel drops events when its queue is full, and Node.js does
 * not report that: a caller that must not miss a change has to compare at intervals.
 */
export class FolderWatch {
  readonly #init: FolderWatchInit;
  readonly #backoff: Backoff;
  readonly #checkInterval: number;
  readonly #wakeup = new Wakeup();
  #complained = false;
  #up = false;
  /** The folder that was last reported although it cannot be watched. */
  #unwatched: string | undefined;

  constructor(init: FolderWatchInit) {
    this.#init = init;
    this.#checkInterval = init.checkInterval ?? 2_000;
    this.#backoff = new Backoff({ first: 100, max: this.#checkInterval });
  }

  /** Whether the folder exists and is watched. */
  get up(): boolean {
    return this.#up;
  }

  /** Watches until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const before = await identity(this.#init.path);
      if (before !== undefined) await this.#watchOne(before, signal);
      else await this.#untilCreated(signal);
      await this.#backoff.wait(signal);
    }
  }

  /** Checks now whether `path` leads to the same folder, as when one above it was replaced. */
  check(): void {
    this.#wakeup.call();
  }

  /** Watches one folder, until `path` leads to another one. */
  async #watchOne(before: string, signal: AbortSignal): Promise<void> {
    const doubtful = new AbortController();
    const doubt = () => {
      doubtful.abort();
      this.#wakeup.call();
    };
    using watcher = this.#open(doubt);
    // The folder may have been replaced before the watch began.
    if ((await identity(this.#init.path)) !== before || signal.aborted) return;
    this.#backoff.reset();
    this.#up = watcher.ok;
    // A folder that cannot be watched is reported once, not at each attempt.
    if (watcher.ok || this.#unwatched !== before) this.#init.onUp();
    this.#unwatched = watcher.ok ? undefined : before;
    const interval = this.#checkInterval * (watcher.ok ? WATCHED_FACTOR : 1);
    let same: boolean;
    do {
      await this.#pause(interval, signal);
      same = (await identity(this.#init.path)) === before;
    } while (same && watcher.ok && !isAborted(doubtful.signal) && !isAborted(signal));
    this.#up = false;
    if (!isAborted(signal) && (!same || isAborted(doubtful.signal))) this.#init.onDown?.();
  }

  /** Waits until the folder may have been created. Returns at once when the one above it cannot be watched. */
  async #untilCreated(signal: AbortSignal): Promise<void> {
    const { path } = this.#init;
    const above = dirname(path);
    const created = (): void => {
      this.#backoff.reset();
      this.#wakeup.call();
    };
    let watcher: FSWatcher;
    try {
      watcher = watch(above, (_, name) => {
        // The removal of the folder above is reported under its own name.
        if (name === null || name === basename(path) || name === basename(above)) created();
      });
    } catch {
      return;
    }
    watcher.on('error', created);
    try {
      // It may have been created before the watch began.
      if ((await identity(path)) !== undefined) created();
      await this.#pause(this.#checkInterval * WATCHED_FACTOR, signal);
    } finally {
      watcher.close();
    }
  }

  async #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    using longest = new Deadline(milliseconds, signal);
    await this.#wakeup.wait(longest.signal);
  }

  #open(doubt: () => void): Disposable & { readonly ok: boolean } {
    let watcher: FSWatcher;
    try {
      watcher = watch(this.#init.path, (event, name) => {
        this.#report(event, name, doubt);
      });
    } catch (error) {
      this.#complain(error);
      return { ok: false, [Symbol.dispose]: () => undefined };
    }
    watcher.on('error', (error) => {
      this.#complain(error);
      doubt();
    });
    return {
      ok: true,
      [Symbol.dispose]: () => {
        watcher.close();
      },
    };
  }

  #report(event: string, name: string | null, doubt: () => void): void {
    // libuv reports the removal of the watched folder itself under the folder's own name.
    if (name === null || (event === 'rename' && name === basename(this.#init.path))) doubt();
    else if (event === 'rename' || this.#init.contents === true) this.#init.onEntry(name);
  }

  #complain(error: unknown): void {
    if (this.#complained || isMissing(error)) return;
    this.#complained = true;
    const hint = hasCode(error, 'ENOSPC', 'EMFILE')
      ? 'raise fs.inotify.max_user_watches and fs.inotify.max_user_instances'
      : undefined;
    this.#init.logger.warn(
      { err: error, path: this.#init.path, hint },
      'cannot watch folder; changes are noticed late, by comparison',
    );
  }
}

/** Identifies the folder at a path; `undefined` when there is none, or it cannot be read. */
async function identity(path: string): Promise<string | undefined> {
  let found: BigIntStats;
  try {
    found = await stat(path, { bigint: true });
  } catch {
    return undefined;
  }
  // With the time of birth, since a new folder often gets the inode number of the one just removed.
  return found.isDirectory() ? `${found.dev}:${found.ino}:${found.birthtimeNs}` : undefined;
}
