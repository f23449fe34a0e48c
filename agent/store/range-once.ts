import type { ByteRange } from '../oci/byte-range.ts';

/**
 * Checks that a range lies within content of `size` bytes. Empty content has one range, `{ start: 0, end: -1 }`.
 *
 * @throws RangeError
 */
export function checkRange({ start, end }: ByteRange, size: number): void {
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (!whole || start < 0 || end >= size || end < start - 1) {
    throw new RangeError(`There is no range ${start}-${end} in ${size} bytes`);
  }
}

/** Guards `OpenBlob.stream`: one call, with a range within the blob. */
export class RangeOnce {
  readonly #size: number;
  #taken = false;

  constructor(size: number) {
    this.#size = size;
  }

  /**
   * @throws RangeError as {@link checkRange}
   * @throws Error when called again
   */
  take(range: ByteRange): void {
    checkRange(range, this.#size);
    if (this.#taken) throw new Error('A blob can be streamed once each time it is opened');
    this.#taken = true;
  }
}
