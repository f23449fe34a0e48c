import type { ByteRange } from '../oci/byte-range.ts';

/** Guards `OpenBlob.stream`: an interval within the blob, and one call only. */
export class RangeOnce {
  readonly #size: number;
  #taken = false;

  constructor(size: number) {
    this.#size = size;
  }

  /**
   * @throws RangeError when the interval does not lie within the blob. An empty blob has one interval,
   *   `{ start: 0, end: -1 }`.
   * @throws Error when called again
   */
  take(range: ByteRange): void {
    const { start, end } = range;
    const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
    if (!whole || start < 0 || end >= this.#size || end < start - 1) {
      throw new RangeError(`No interval ${start}-${end} in a blob of ${this.#size} bytes`);
    }
    if (this.#taken) throw new Error('A blob can be streamed once each time it is opened');
    this.#taken = true;
  }
}
