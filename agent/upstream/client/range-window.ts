import type { ByteRange } from '../../oci/byte-range.ts';

/** Windows of all blobs together that are in memory, whole or in part. */
const MAX_WINDOWS = 8;

/** Bounds the windows that are in memory. */
export class WindowBudget {
  #left: number;

  /** @param windows default 8 */
  constructor(windows = MAX_WINDOWS) {
    this.#left = windows;
  }

  /** Room for one window, to be disposed of; undefined when there is none. */
  take(): Disposable | undefined {
    if (this.#left === 0) return undefined;
    this.#left -= 1;
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (isTaken) this.#left += 1;
        isTaken = false;
      },
    };
  }
}

type State = 'asked' | 'open' | 'complete' | 'failed';

/** Loads the bytes of a range, and calls `opened` when they begin. */
type Load = (opened: () => void, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/**
 * A range of a blob that is loaded into memory at once, and read in order while it arrives. To be disposed of, which ends its
 * connection and returns its memory.
 */
export class RangeWindow implements Disposable {
  readonly range: ByteRange;
  readonly #slot: Disposable;
  readonly #ending = new AbortController();
  readonly #begun = performance.now();
  #chunks: Uint8Array[] = [];
  #change = Promise.withResolvers<undefined>();
  #state: State = 'asked';
  #ms = 0;
  #received = 0;

  constructor(range: ByteRange, slot: Disposable, load: Load) {
    this.range = range;
    this.#slot = slot;
    void this.#run(load);
  }

  /** `asked` until the head of the answer has come. */
  get state(): State {
    return this.#state;
  }

  /** How long it took to load, in milliseconds; 0 before it is complete. */
  get ms(): number {
    return this.#ms;
  }

  /** Bytes that have come. */
  get received(): number {
    return this.#received;
  }

  /** The next bytes; undefined while there are none. */
  take(): Uint8Array | undefined {
    return this.#chunks.shift();
  }

  /** Resolves when there is more to {@link take}, or the state has changed. */
  get changed(): Promise<void> {
    return this.#change.promise;
  }

  [Symbol.dispose](): void {
    this.#ending.abort(new Error('the window is not read'));
    this.#chunks = [];
    this.#slot[Symbol.dispose]();
  }

  async #run(load: Load): Promise<void> {
    const { signal } = this.#ending;
    try {
      const opened = (): void => {
        this.#become('open');
      };
      for await (const bytes of load(opened, signal)) {
        if (signal.aborted) return;
        this.#chunks.push(bytes);
        this.#received += bytes.length;
        this.#wake();
      }
      this.#ms = performance.now() - this.#begun;
      this.#become('complete');
    } catch {
      // The reader has the bytes that came, and asks for the others itself. It hears why they cannot be had.
      this.#become('failed');
    }
  }

  #become(state: State): void {
    this.#state = state;
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers<undefined>();
    resolve(undefined);
  }
}
