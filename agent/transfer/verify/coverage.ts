import type { ByteRange } from '../../oci/byte-range.ts';

/** Most intervals apart from each other that are kept; chunks that come side by side become one. */
const MAX_INTERVALS = 1_000;

/** Which bytes of a blob have been there, whatever pieces they came in. */
export class Coverage {
  /** Apart from each other, in order. */
  #intervals: ByteRange[] = [];

  /** Adds an interval; one that is empty adds nothing. Beyond the bound the first ones are forgotten. */
  add({ start, end }: ByteRange): void {
    if (end < start) return;
    const before = this.#intervals.filter((it) => it.end + 1 < start);
    const after = this.#intervals.filter((it) => it.start > end + 1);
    const touched = this.#intervals.slice(before.length, this.#intervals.length - after.length);
    const merged = {
      start: Math.min(start, touched[0]?.start ?? start),
      end: Math.max(end, touched.at(-1)?.end ?? end),
    };
    this.#intervals = [...before, merged, ...after].slice(-MAX_INTERVALS);
  }

  /** Whether everything from the first byte that was there to the end of so many bytes was there. */
  reachesEnd(size: number): boolean {
    return this.#intervals.length === 1 && this.#intervals[0]?.end === size - 1;
  }

  /** Whether that is all of the blob. */
  isWhole(size: number): boolean {
    return this.reachesEnd(size) && this.#intervals[0]?.start === 0;
  }
}
