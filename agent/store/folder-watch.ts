import { watch, type BigIntStats, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';

import type { Logger } from 'pino';

import { Backoff } from '../timing/backoff.ts';
import { isAborted, pause } from '../timing/pause.ts';
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
  /** Milliseconds between checks whether `path` still leads to the same folder; 2,000 by default. */
  readonly checkInterval?: number;
}

/**
 * Reports changes of the entries of one folder, which may be created, removed and replaced meanwhile. It takes one
 * kernel watch (inotify) for any number of entries. The kernel drops events when its queue is full, and Node.js does
 * not report that: a caller that must not miss a change has to compare at intervals.
 */
export class FolderWatch {
  readonly #init: FolderWatchInit;
  readonly #backoff: Backoff;
  readonly #checkInterval: number;
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
      await this.#backoff.wait(signal);
    }
  }

  /** Watches one folder, until `path` leads to another one. */
  async #watchOne(before: string, signal: AbortSignal): Promise<void> {
    const doubtful = new AbortController();
    const doubt = () => {
      doubtful.abort();
    };
    using watcher = this.#open(doubt);
    // The folder may have been replaced before the watch began.
    if ((await identity(this.#init.path)) !== before || signal.aborted) return;
    this.#backoff.reset();
    this.#up = watcher.ok;
    // A folder that cannot be watched is reported once, not at each attempt.
    if (watcher.ok || this.#unwatched !== before) this.#init.onUp();
    this.#unwatched = watcher.ok ? undefined : before;
    const wake = AbortSignal.any([signal, doubtful.signal]);
    let same: boolean;
    do {
      await pause(this.#checkInterval, wake);
      same = (await identity(this.#init.path)) === before;
    } while (same && watcher.ok && !isAborted(wake));
    this.#up = false;
    if (!isAborted(signal) && (!same || isAborted(doubtful.signal))) this.#init.onDown?.();
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
