import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { checkRange, RangeOnce } from './range-once.ts';

describe('checkRange', () => {
  it('takes ranges within the size, an empty one included', () => {
    for (const [start, end, size] of [
      [0, 9, 10],
      [9, 9, 10],
      [5, 4, 10],
      [0, -1, 0],
    ] as const) {
      checkRange({ start, end }, size);
    }
  });

  it('refuses ranges outside the size, reversed ones and fractions', () => {
    for (const [start, end, size] of [
      [-1, 3, 10],
      [0, 10, 10],
      [5, 3, 10],
      [0.5, 3, 10],
      [0, NaN, 10],
      [0, 0, 0],
    ] as const) {
      assert.throws(() => {
        checkRange({ start, end }, size);
      }, RangeError);
    }
  });
});

describe('RangeOnce', () => {
  it('takes one valid range, and does not count an invalid one', () => {
    const once = new RangeOnce(10);
    const take = (end: number) => (): void => {
      once.take({ start: 0, end });
    };
    assert.throws(take(10), RangeError);
    take(9)();
    assert.throws(take(9), /once/);
  });
});
