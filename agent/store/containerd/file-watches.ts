import { watch, type FSWatcher } from 'node:fs';

/**
 * Kernel watches (inotify) that are open at the same time. The bound of the node, `fs.inotify.max_user_watches`, is
 * shared with all its processes. A file beyond it is looked at every {@link SAFETY_MS}.
 */
const MAX_WATCHES = 256;

/**
 * Milliseconds after which a file counts as changed without an event. The kernel drops events when its queue is full,
 * and Node.js does not report that; a watch may also be refused. A follower then falls behind by that much, and does
 * not stop.
 */
const SAFETY_MS = 500;

/** Watches files for changes, with a bounded number of kernel watches. */
export class FileWatches {
  readonly #max: number;
  readonly #safetyMs: number;
  #open = 0;

  /**
   * @param max kernel watches; {@link MAX_WATCHES} by default
   * @param safetyMs milliseconds; {@link SAFETY_MS} by default
   */
  constructor(max = MAX_WATCHES, safetyMs = SAFETY_MS) {
    this.#max = max;
    this.#safetyMs = safetyMs;
  }

  /** Kernel watches that are open now. */
  get open(): number {
    return this.#open;
  }

  /** Watches the file at `path` until the result is disposed of. */
  watch(path: string): FileWatch {
    if (this.#open >= this.#max) return new FileWatch(this.#safetyMs);
    const file = new FileWatch(this.#safetyMs, path, () => {
      this.#open -= 1;
    });
    if (file.isWatched) this.#open += 1;
    return file;
  }
}

/** Tells any number of waiters that a file was written to, truncated, renamed or removed. */
export class FileWatch implements Disposable {
  readonly #safetyMs: number;
  readonly #onClose: () => void;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #change = Promise.withResolvers<undefined>();

  /** @param path without it there is no kernel watch */
  constructor(safetyMs: number, path?: string, onClose: () => void = () => undefined) {
    this.#safetyMs = safetyMs;
    this.#onClose = onClose;
    if (path === undefined) return;
    try {
      this.#watcher = watch(path, { persistent: false }, () => {
        this.#wake();
      });
    } catch {
      // The file is gone, or the kernel has no watch left: the timer stays.
      return;
    }
    this.#watcher.on('error', () => {
      this.#unwatch();
    });
  }

  /** Whether there is a kernel watch. */
  get isWatched(): boolean {
    return this.#watcher !== undefined;
  }

  /**
   * Resolves at the next change, or after {@link SAFETY_MS}. To miss nothing, call it before looking at the file, and
   * await the result after it.
   */
  next(): Promise<undefined> {
    this.#timer ??= setTimeout(() => {
      this.#wake();
    }, this.#safetyMs);
    return this.#change.promise;
  }

  /** Ends the watch, and wakes the waiters. */
  [Symbol.dispose](): void {
    this.#unwatch();
    this.#wake();
  }

  #wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers();
  }

  #unwatch(): void {
    if (this.#watcher === undefined) return;
    this.#watcher.close();
    this.#watcher = undefined;
    this.#onClose();
  }
}
