import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Seeded } from '../../testing/seeded.ts';
import { closest, K } from '../dht/kademlia.ts';
import { NetworkScale, networkSize } from './network-size.ts';

const random = new Seeded('network size');
const randomPoint = () => ({ prefix: random.point() });

describe('networkSize', () => {
  it('is the number of members and this node where there are few', () => {
    const members = Array.from({ length: K - 1 }, randomPoint);
    assert.equal(networkSize(randomPoint(), members), K);
    assert.equal(networkSize(randomPoint(), []), 1);
  });

  it('is about what is known where all are known', () => {
    for (let round = 0; round < 200; round++) {
      const size = networkSize(randomPoint(), Array.from({ length: 25 }, randomPoint));
      assert.ok(size >= 26 && size < 60, String(size));
    }
  });

  for (const size of [300, 5000]) {
    it(`is estimated from the neighbours of a node of ${String(size)}`, () => {
      const nodes = Array.from({ length: size }, randomPoint);
      const sizes = nodes.slice(0, 200).map((self) => {
        const others = nodes.filter((node) => node !== self);
        return networkSize(self, closest(self.prefix, others, 64));
      });
      const [median = 0] = sizes.toSorted((a, b) => a - b).slice(100);
      assert.ok(median > size * 0.7 && median < size * 1.4, String(median));
    });
  }

  it('is estimated from the nearer neighbours where farther ones are not known yet', () => {
    const nodes = Array.from({ length: 1000 }, (_, at) => ({ prefix: at * 4_294_967 }));
    const far = [300, 550, 800, 990].map((at) => ({ prefix: at * 4_294_967 }));
    const size = networkSize({ prefix: 0 }, [...nodes.slice(1, 19), ...far]);
    assert.ok(size > 900 && size < 1100, String(size));
  });

  it('is bounded, whatever IDs the neighbours have chosen', () => {
    const crowded = Array.from({ length: 100 }, (_, low) => ({ prefix: low }));
    assert.equal(networkSize({ prefix: 1 }, crowded), 20_000);
  });

  it('is at least what is known', () => {
    const crowded = Array.from({ length: 100 }, (_, low) => ({ prefix: low }));
    const spread = Array.from({ length: 400 }, randomPoint);
    assert.ok(networkSize({ prefix: 2 ** 31 }, [...crowded, ...spread]) >= 501);
  });
});

describe('NetworkScale', () => {
  it('is large with more nodes than connections, until it is smaller again', () => {
    let members: readonly { prefix: number }[] = [];
    const known = { verified: () => members, members: () => members };
    const scale = new NetworkScale({ prefix: 0 }, known, 100);
    const evenly = (count: number) =>
      Array.from({ length: count }, (_, at) => ({
        prefix: Math.floor(((at + 1) * 2 ** 32) / count) - 1,
      }));
    const answers = [70, 130, 90, 70, 90].map((count) => {
      members = evenly(count);
      return [scale.isLarge, scale.isLargeForSome, Math.abs(scale.size - count) < 10];
    });
    assert.deepEqual(answers, [
      [false, false, true],
      [true, true, true],
      [true, true, true],
      [false, false, true],
      [false, true, true],
    ]);
  });

  it('seems large as soon as others have named so many', () => {
    const verified = Array.from({ length: 10 }, randomPoint);
    const named = Array.from({ length: 200 }, randomPoint);
    const known = { verified: () => verified, members: () => [...verified, ...named] };
    const scale = new NetworkScale({ prefix: 0 }, known, 100);
    assert.deepEqual([scale.seemsLarge, scale.isLarge], [true, false]);
  });

  it('seems large to a node that knows no more than the neighbours that one answer named', () => {
    const nodes = Array.from({ length: 1000 }, (_, at) => ({ prefix: at * 4_000_000 }));
    const named = closest(0, nodes.slice(1), K);
    const scale = new NetworkScale({ prefix: 0 }, { verified: () => [], members: () => named }, 50);
    assert.ok(scale.seemsLarge);
    assert.ok(!scale.isLarge);
  });
});
