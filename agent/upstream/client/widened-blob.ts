import { rangeLength } from '../../oci/byte-range.ts';
import { BlobWindows, openWindow, WINDOW_BYTES, type WidenedBlobInit } from './blob-windows.ts';
import { PairMeter } from './pair-meter.ts';
import type { RangeWindow } from './range-window.ts';
import { resumingBlob, type Forwarded, type OtherWay } from './resuming-blob.ts';
import { WaitMeter } from './wait-meter.ts';

/** What has to be left of a blob, in windows, for more than one connection. */
const MIN_WINDOWS = 4;

/**
 * As {@link resumingBlob}, and by several connections where the registry is what limits: many of them throttle each connection.
 * One connection is watched first. Then the next ranges are asked for at once, and delivered in order. Their number is doubled
 * as long as that brings more. Whatever goes wrong with them, the rest comes by one connection, at the same byte.
 *
 * @throws as {@link resumingBlob}
 */
export function widenedBlob<T extends Forwarded>(
  init: WidenedBlobInit<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const { wanted, widening } = init;
  const { connections, windowBytes = WINDOW_BYTES } = widening;
  const needed = (MIN_WINDOWS + 1) * windowBytes;
  if (connections < 2 || rangeLength(wanted) < needed) return resumingBlob(init, signal);
  return resumingBlob({ ...init, otherWay: new Widening(init, needed, signal) }, signal);
}

/** Watches one connection, and goes over to several. It is called for each chunk: a generator around it would cost more. */
class Widening<T extends Forwarded> implements OtherWay<T> {
  readonly #init: WidenedBlobInit<T>;
  readonly #needed: number;
  readonly #signal: AbortSignal;
  readonly #meter: WaitMeter;
  readonly #pair: PairMeter;
  #probe: RangeWindow | undefined;
  #isDecided = false;
  #isFull = false;

  constructor(init: WidenedBlobInit<T>, needed: number, signal: AbortSignal) {
    this.#init = init;
    this.#needed = needed;
    this.#signal = signal;
    this.#meter = new WaitMeter(init.widening.observeMs);
    this.#pair = new PairMeter(init.widening.observeMs);
  }

  after(chunk: T, position: number): AsyncIterable<T> | undefined {
    if (this.#isDecided) return undefined;
    const { wanted, widening } = this.#init;
    if (this.#probe === undefined) {
      // Not beside the second connection: where they share a limit, that takes from the first one's rate.
      this.#meter.add(chunk);
      if (!this.#meter.isWaiting || wanted.end - position < this.#needed) return undefined;
      const { windowBytes = WINDOW_BYTES } = widening;
      this.#probe = openWindow(this.#init, position + windowBytes, this.#signal);
      if (this.#probe === undefined && !this.#isFull) this.#init.onWidened?.('full');
      this.#isFull = this.#probe === undefined;
      return undefined;
    }
    this.#pair.look(position, this.#probe);
    const { state, range } = this.#probe;
    const isRefused = state === 'failed' || (state === 'asked' && position > range.start);
    if (isRefused) this.#refused(this.#probe);
    // The first connection is closed once the second one has what follows.
    else if (state === 'asked' || position < range.start) return undefined;
    this.#isDecided = true;
    return isRefused ? undefined : this.#widened(this.#probe, position);
  }

  [Symbol.dispose](): void {
    this.#probe?.[Symbol.dispose]();
  }

  #refused(probe: RangeWindow): void {
    probe[Symbol.dispose]();
    this.#init.onWidened?.('refused');
  }

  async *#widened(probe: RangeWindow, from: number): AsyncGenerator<T> {
    const { wanted, onWiden, onWidened } = this.#init;
    const rates = { rate: this.#meter.rate, both: this.#pair.rate };
    using windows = new BlobWindows(this.#init, probe, rates, this.#signal);
    onWiden?.(windows.connections);
    let position = from;
    for await (const chunk of windows.read(position)) {
      position += chunk.length;
      yield chunk;
    }
    const isWhole = position > wanted.end;
    if (!isWhole) onWiden?.(1);
    onWidened?.(isWhole ? 'whole' : 'one');
  }
}
