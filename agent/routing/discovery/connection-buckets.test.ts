import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ConnectionBuckets } from './connection-buckets.ts';

const self = { prefix: 0 };
/** A point of this bucket of {@link self}. */
const pointOf = (bucket: number, low = 0) => ({ prefix: (2 ** (31 - bucket) + low) >>> 0 });

describe('ConnectionBuckets', () => {
  it('chooses of the bucket with fewest connections', () => {
    const connected = [pointOf(0), pointOf(0, 1), pointOf(1), pointOf(2), pointOf(2, 1)];
    const buckets = new ConnectionBuckets(self, connected);
    const [poor, rich] = [pointOf(1, 5), pointOf(2, 5)];
    assert.equal(buckets.poorest([rich, poor, pointOf(0, 9)]), poor);
    assert.equal(buckets.poorest([rich, pointOf(3)])?.prefix, pointOf(3).prefix);
    assert.equal(buckets.poorest([rich].slice(1)), undefined);
  });

  it('chooses each of the candidates of a bucket', () => {
    const candidates = [pointOf(4), pointOf(4, 1), pointOf(4, 2)];
    const chosen = new Set<unknown>();
    for (let round = 0; round < 100; round++) {
      chosen.add(new ConnectionBuckets(self, []).poorest(candidates));
    }
    assert.equal(chosen.size, 3);
  });

  it('ends those of the fullest bucket until the buckets are even', () => {
    const full = Array.from({ length: 5 }, (_, low) => pointOf(0, low));
    const half = Array.from({ length: 3 }, (_, low) => pointOf(1, low));
    const buckets = new ConnectionBuckets(self, [...full, ...half, pointOf(7)]);
    const ended = buckets.richest([...half, ...full, pointOf(7)], 4);
    assert.deepEqual(ended.slice(0, 2), full.slice(0, 2), 'in the order given');
    assert.equal(ended.filter((peer) => full.includes(peer)).length, 3);
    assert.equal(ended.filter((peer) => half.includes(peer)).length, 1);
  });

  it('counts connections that may not be ended, and ends no more than there are', () => {
    const kept = [pointOf(0), pointOf(0, 1), pointOf(0, 2)];
    const other = pointOf(1);
    const buckets = new ConnectionBuckets(self, [...kept, other]);
    assert.deepEqual(buckets.richest([other], 10), [other]);
  });
});
