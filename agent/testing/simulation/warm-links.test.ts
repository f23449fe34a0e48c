import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { bucketOf, closest } from '../../routing/dht/kademlia.ts';
import { Seeded } from '../seeded.ts';
import { warmLinks } from './warm-links.ts';

const random = new Seeded('warm links');

/** Points that are spread evenly. */
function pointsOf(count: number): { readonly prefix: number }[] {
  return Array.from({ length: count }, () => ({ prefix: random.point() }));
}

describe('warmLinks', () => {
  it('connects each node with those next to it and with some of each bucket, within its budget', () => {
    const points = pointsOf(1000);
    const peers = points.map(() => new Set<{ readonly prefix: number }>());
    const links = warmLinks(points, random.number);
    for (const { dialler, listener } of links) {
      const [one, other] = [points[dialler], points[listener]];
      assert.ok(one && other && one !== other);
      peers[dialler]?.add(other);
      peers[listener]?.add(one);
    }
    const counts = peers.map(({ size }) => size);
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      2 * links.length,
    );
    assert.ok(Math.min(...counts) >= 120 && Math.max(...counts) <= 165, String(counts));
    for (const [index, self] of points.entries()) {
      for (const near of closest(self.prefix, points, 65)) {
        assert.ok(near === self || peers[index]?.has(near));
      }
      const buckets = Map.groupBy(peers[index] ?? [], (peer) => bucketOf(self, peer));
      for (const bucket of [0, 1, 2]) assert.ok((buckets.get(bucket)?.length ?? 0) >= 4);
    }
  });

  it('connects all with all in a small network', () => {
    assert.equal(warmLinks(pointsOf(30)).length, (30 * 29) / 2);
  });
});
