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
  /** An entry was created, removed or renamed; or written to, when `contents` is set. */
  readonly onEntry: (name: string) => void;
  /** The folder is there and watched. What happened in it before this was not told. */
  readonly onUp: () => void;
  /** The folder is gone or was replaced. */
  readonly onDown?: () => void;
  /** Whether writing to an entry counts too; false by default. */
  readonly contents?: boolean;
  /** Milliseconds between looks whether `path` still leads to the same folder; 2,000 by default. */
  readonly checkInterval?: number;
}

/**
 * Tells what happens to the entries of one folder, which may come and go. One kernel watch (inotify), however
 * many entries there are. The kernel drops events when its queue is full, and Node does not say so: whoever
 * must not miss anything compares now and then.
 */
export class FolderWatch {
  readonly #init: FolderWatchInit;
  readonly #backoff: Backoff;
  readonly #checkInterval: number;
  #complained = false;
  #up = false;
  /** The folder that was last told of, while it cannot be watched. */
  #unwatched: string | undefined;

  constructor(init: FolderWatchInit) {
    this.#init = init;
    this.#checkInterval = init.checkInterval ?? 2_000;
    this.#backoff = new Backoff({ first: 100, max: this.#checkInterval });
  }

  /** Whether the folder is there and watched at present. */
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

  /** Watches one folder, until it is not the one that `path` leads to any more. */
  async #watchOne(before: string, signal: AbortSignal): Promise<void> {
    const suspect = new AbortController();
    const doubt = () => {
      suspect.abort();
    };
    using watcher = this.#open(doubt);
    // Between looking and watching, another folder may have taken the place of the one looked at.
    if ((await identity(this.#init.path)) !== before || signal.aborted) return;
    this.#backoff.reset();
    this.#up = watcher.ok;
    // A folder that cannot be watched is told of once, not at each attempt.
    if (watcher.ok || this.#unwatched !== before) this.#init.onUp();
    this.#unwatched = watcher.ok ? undefined : before;
    const wake = AbortSignal.any([signal, suspect.signal]);
    let same: boolean;
    do {
      await pause(this.#checkInterval, wake);
      same = (await identity(this.#init.path)) === before;
    } while (same && watcher.ok && !isAborted(wake));
    this.#up = false;
    if (!isAborted(signal) && (!same || isAborted(suspect.signal))) this.#init.onDown?.();
  }

  #open(doubt: () => void): Disposable & { readonly ok: boolean } {
    let watcher: FSWatcher;
    try {
      watcher = watch(this.#init.path, (event, name) => {
        this.#tell(event, name, doubt);
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

  #tell(event: string, name: string | null, doubt: () => void): void {
    // libuv reports the end of the watched folder itself under the folder's own name.
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

/** What tells one folder from another of the same path; `undefined` while there is none that can be looked at. */
async function identity(path: string): Promise<string | undefined> {
  let found: BigIntStats;
  try {
    found = await stat(path, { bigint: true });
  } catch {
    return undefined;
  }
  // A new folder is often given the inode number of the one just removed.
  return found.isDirectory() ? `${found.dev}:${found.ino}:${found.birthtimeNs}` : undefined;
}
