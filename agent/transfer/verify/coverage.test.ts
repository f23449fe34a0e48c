import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { Coverage } from './coverage.ts';

describe('Coverage', () => {
  it('joins ranges to a whole, in whatever order they come', () => {
    const coverage = new Coverage();
    coverage.add({ start: 50, end: 99 });
    assert.ok(coverage.reachesEnd(100) && !coverage.isWhole(100));
    coverage.add({ start: 0, end: 29 });
    assert.ok(!coverage.reachesEnd(100));
    coverage.add({ start: 0, end: -1 });
    coverage.add({ start: 30, end: 49 });
    assert.ok(coverage.isWhole(100) && !coverage.isWhole(101));
  });

  it('agrees with a count of every byte', () => {
    const size = 30;
    const interval = fc
      .tuple(fc.nat(size - 1), fc.nat(size - 1))
      .map(([one, other]) => ({ start: Math.min(one, other), end: Math.max(one, other) }));
    fc.assert(
      fc.property(fc.array(interval, { minLength: 1, maxLength: 10 }), (intervals) => {
        const coverage = new Coverage();
        const covered = new Set<number>();
        for (const it of intervals) {
          coverage.add(it);
          for (let byte = it.start; byte <= it.end; byte++) covered.add(byte);
        }
        const first = Math.min(...covered);
        assert.equal(coverage.reachesEnd(size), covered.size === size - first);
        assert.equal(coverage.isWhole(size), covered.size === size);
      }),
    );
  });
});
