import type { ByteRange } from '../../oci/byte-range.ts';
import { UpstreamError } from '../upstream-error.ts';
import { discard } from './answer-text.ts';
import type { BlobAnswer } from './blob-answer.ts';
import { RangeWindow, type WindowBudget } from './range-window.ts';
import {
  asStream,
  bytesOf,
  resumingBlob,
  type Forwarded,
  type ResumingBlobInit,
} from './resuming-blob.ts';

const MIB = 1024 * 1024;
/** Bytes of one request. Each costs a request to the registry and one to its storage, and memory until its turn. */
export const WINDOW_BYTES = 4 * MIB;
/** Twice as many connections have to bring so much more, or they are not the bottleneck. */
const WORTHWHILE = 1.4;
/** Windows that are left for each connection at the end: large ones would all end at once, and those that follow get their bytes late. */
const LAST_WINDOWS = 2;
/** Share of a window that the last ones have at least. */
const MIN_SHARE = 1 / 4;
/** How long all other windows are there before the one in front is asked for anew, in milliseconds, at least. */
const LATE_MS = 2_000;
/** The same in times that the slowest of the others took. */
const LATE_FACTOR = 2;
/** Windows of a blob that are asked for anew, before the rest comes by one connection. */
const MAX_LATE = 4;
const LOOK_MS = 100;

/** How many connections one blob may have. */
export interface WideningInit {
  /** 1 for no more than one. */
  readonly connections: number;
  readonly budget: WindowBudget;
  /** Default 4 MiB. */
  readonly windowBytes?: number;
  /** How long one connection is watched first, in milliseconds. Default: that of `WaitMeter`. */
  readonly observeMs?: number;
  /** See {@link LATE_MS}. */
  readonly lateMs?: number;
}

/** A `widenedBlob`. */
export interface WidenedBlobInit<T extends Forwarded> extends Omit<
  ResumingBlobInit<T>,
  'otherWay'
> {
  readonly widening: WideningInit;
  /** Forwards bytes that came by another connection than the first. */
  readonly write: (bytes: Uint8Array, offset: number, waited: number) => T | Promise<T>;
  /** Called when there is more than one connection, and when there is one again. */
  readonly onWiden?: (connections: number) => void;
  /** Called with what came of asking by several connections. */
  readonly onWidened?: (outcome: WideningOutcome) => void;
}

/** The label of `peerglass_upstream_widened_total`, which has their meanings. */
type WideningOutcome = 'whole' | 'one' | 'refused' | 'full';

/** Begins to load a window, if there is memory for it. */
export function openWindow<T extends Forwarded>(
  init: WidenedBlobInit<T>,
  start: number,
  signal: AbortSignal,
  end?: number,
): RangeWindow | undefined {
  const { budget, windowBytes = WINDOW_BYTES } = init.widening;
  const slot = budget.take();
  if (slot === undefined) return undefined;
  const range = { start, end: Math.min(end ?? start + windowBytes - 1, init.wanted.end) };
  return new RangeWindow(range, slot, (opened, ending) =>
    load(init, range, opened, AbortSignal.any([signal, ending])),
  );
}

async function* load<T extends Forwarded>(
  { first: { size, host }, again, onBytes, onResume, slowMs }: WidenedBlobInit<T>,
  range: ByteRange,
  opened: () => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  // A registry that sends all of the blob for each range would send it many times.
  const exactly = async (rest: ByteRange, inTime: AbortSignal): Promise<BlobAnswer> => {
    const answer = await again(rest, inTime);
    const { start, end } = answer.range;
    if (answer.size === size && start === rest.start && end === rest.end) return answer;
    discard(answer.body);
    throw new UpstreamError('range', `${host} sends another range than the one that was asked for`);
  };
  const answer = await exactly(range, signal);
  opened();
  const init = {
    ...{ first: answer, wanted: range, read: asStream, again: exactly },
    ...{ ...(onBytes && { onBytes }), ...(onResume && { onResume }) },
    ...(slowMs !== undefined && { slowMs }),
  };
  yield* bytesOf(resumingBlob(init, signal));
}

/** The windows of one blob that are loaded at the moment, in order. To be disposed of. */
export class BlobWindows<T extends Forwarded> implements Disposable {
  readonly #init: WidenedBlobInit<T>;
  readonly #signal: AbortSignal;
  readonly #windows: RangeWindow[];
  #next: number;
  #connections = 2;
  /** Bytes a millisecond, with half as many connections. */
  #before: number;
  #isSettled = false;
  #late = 0;

  /**
   * @param rate of one connection, in bytes a millisecond
   * @param both of two at the same time, if it is known
   */
  constructor(
    init: WidenedBlobInit<T>,
    first: RangeWindow,
    { rate, both }: { readonly rate: number; readonly both: number | undefined },
    signal: AbortSignal,
  ) {
    this.#init = init;
    this.#windows = [first];
    this.#next = first.range.end + 1;
    this.#before = rate;
    this.#signal = signal;
    if (both === undefined || both < rate * WORTHWHILE) return;
    this.#connections = Math.min(init.widening.connections, 2 * this.#connections);
    this.#isSettled = this.#connections === 2;
    this.#before = both;
  }

  get connections(): number {
    return this.#connections;
  }

  /** Ends early, at any byte, when the rest is to come by one connection. */
  async *read(from: number): AsyncGenerator<T> {
    const { wanted, write } = this.#init;
    let position = from;
    let [bytes, since, count] = [0, performance.now(), 0];
    while (position <= wanted.end) {
      this.#fill();
      const window = this.#windows[0];
      if (window === undefined) return;
      let at = window.range.start;
      while (at <= window.range.end) {
        const waits = performance.now();
        const chunk = await this.#chunkOf(window);
        const waited = performance.now() - waits;
        this.#signal.throwIfAborted();
        if (chunk === 'failed') return;
        if (chunk === 'late') break;
        const fresh = chunk.subarray(Math.max(0, position - at));
        at += chunk.length;
        if (fresh.length === 0) continue;
        const forwarded = await write(fresh, position, waited);
        position += fresh.length;
        bytes += fresh.length;
        yield forwarded;
      }
      this.#windows.shift();
      window[Symbol.dispose]();
      if (at <= window.range.end) {
        const again = openWindow(
          this.#init,
          Math.max(at, position),
          this.#signal,
          window.range.end,
        );
        if (again === undefined) return;
        this.#windows.unshift(again);
        continue;
      }
      count += 1;
      if (this.#isSettled || count < 2 * this.#connections) continue;
      this.#adapt(bytes / (performance.now() - since));
      [bytes, since, count] = [0, performance.now(), 0];
    }
  }

  [Symbol.dispose](): void {
    for (const window of this.#windows) window[Symbol.dispose]();
  }

  #fill(): void {
    const { wanted } = this.#init;
    while (this.#windows.length < this.#connections && this.#next <= wanted.end) {
      const end = this.#next + this.#sizeOfNext() - 1;
      const window = openWindow(this.#init, this.#next, this.#signal, end);
      if (window === undefined) return;
      this.#windows.push(window);
      this.#next = window.range.end + 1;
    }
  }

  #sizeOfNext(): number {
    const { wanted, widening } = this.#init;
    const { windowBytes = WINDOW_BYTES } = widening;
    const share = (wanted.end + 1 - this.#next) / (LAST_WINDOWS * this.#connections);
    return Math.ceil(Math.min(windowBytes, Math.max(windowBytes * MIN_SHARE, share)));
  }

  /** Doubles the connections if the last doubling was worth it, else takes it back. */
  #adapt(rate: number): void {
    const { widening, onWiden } = this.#init;
    const isBetter = rate >= this.#before * WORTHWHILE;
    const before = this.#connections;
    this.#connections = isBetter
      ? Math.min(widening.connections, before * 2)
      : Math.floor(before / 2);
    this.#isSettled = !isBetter || this.#connections === before;
    this.#before = rate;
    if (this.#connections > 1 && this.#connections !== before) onWiden?.(this.#connections);
    // The windows that are on their way are still delivered.
    if (this.#connections === 1) this.#connections = 0;
  }

  /** Waits for bytes of the window in front, but not much longer than the others took to arrive. */
  async #chunkOf(window: RangeWindow): Promise<Uint8Array | 'late' | 'failed'> {
    let since: number | undefined;
    for (;;) {
      const { changed } = window;
      const bytes = window.take();
      if (bytes !== undefined) return bytes;
      if (window.state === 'failed' || window.state === 'complete') return 'failed';
      const others = this.#windows.slice(1);
      if (others.length > 0 && others.every(({ state }) => state === 'complete')) {
        since ??= performance.now();
        const slowest = Math.max(...others.map(({ ms }) => ms));
        const { lateMs = LATE_MS } = this.#init.widening;
        if (performance.now() - since > Math.max(lateMs, LATE_FACTOR * slowest)) {
          this.#late += 1;
          return this.#late > MAX_LATE ? 'failed' : 'late';
        }
      }
      const look = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => {
        look.resolve(undefined);
      }, LOOK_MS);
      await Promise.race([changed, look.promise]);
      clearTimeout(timer);
      this.#signal.throwIfAborted();
    }
  }
}
