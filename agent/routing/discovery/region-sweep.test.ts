import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Seeded } from '../../testing/seeded.ts';
import { closest, K, type KeySpacePoint } from '../dht/kademlia.ts';
import { targetOf } from '../dht/key.ts';
import { keyWithPrefix, sweepRegions } from './region-sweep.ts';

const random = new Seeded('region sweep');
const randomPoint = (): number => random.point();
const network = (count: number): KeySpacePoint[] =>
  Array.from({ length: count }, () => ({ prefix: randomPoint() }));
const { signal } = new AbortController();

/** The points that a sweep has seen, and the number of its look-ups. */
async function sweep(points: readonly KeySpacePoint[]) {
  const seen = new Set<KeySpacePoint>();
  let lookups = 0;
  await sweepRegions((key) => {
    lookups += 1;
    const found = closest(targetOf(key), points, K);
    for (const point of found) seen.add(point);
    return Promise.resolve(found);
  }, signal);
  return { seen, lookups };
}

describe('sweepRegions', () => {
  for (const count of [1, 20, 21, 100, 1000, 5000]) {
    it(`sees each of ${String(count)} peers`, async () => {
      const points = network(count);
      const { seen, lookups } = await sweep(points);
      assert.equal(seen.size, count);
      assert.ok(lookups <= 6 + count / 4, `${String(lookups)} look-ups`);
    });
  }

  it('sees all peers where most of them are in one part of the key space', async () => {
    const crowded = network(300).map(({ prefix }) => ({ prefix: prefix >>> 6 }));
    const points = [...crowded, ...network(30)];
    assert.equal((await sweep(points)).seen.size, points.length);
  });

  it('ends after the look-up that is under way when its signal is aborted', async () => {
    const stop = new AbortController();
    const points = network(1000);
    let lookups = 0;
    await sweepRegions((key) => {
      lookups += 1;
      if (lookups === 2) stop.abort();
      return Promise.resolve(closest(targetOf(key), points, K));
    }, stop.signal);
    assert.equal(lookups, 2);
  });
});

describe('keyWithPrefix', () => {
  it('makes a key whose point begins with the bits of another point', () => {
    for (const bits of [1, 4, 9]) {
      const point = randomPoint();
      const target = targetOf(keyWithPrefix(point, bits));
      assert.equal(target >>> (32 - bits), point >>> (32 - bits));
    }
  });
});
