import type { ByteRange } from '../../oci/byte-range.ts';

/** Intervals that are kept. Adjacent intervals become one. */
const MAX_INTERVALS = 1_000;

/** The set of bytes of a blob that were forwarded, in whatever ranges and order. */
export class Coverage {
  /** Disjoint, not adjacent, in order. */
  #intervals: ByteRange[] = [];

  /** Adds an interval; an empty one adds nothing. Beyond the bound the first intervals are forgotten. */
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

  /** Whether the set is one interval that ends with the last byte of a blob of this size. */
  reachesEnd(size: number): boolean {
    return this.#intervals.length === 1 && this.#intervals[0]?.end === size - 1;
  }

  /** Whether the set is all bytes of a blob of this size. */
  isWhole(size: number): boolean {
    return this.reachesEnd(size) && this.#intervals[0]?.start === 0;
  }
}
