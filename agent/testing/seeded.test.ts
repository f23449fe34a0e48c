import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Seeded } from './seeded.ts';

describe('Seeded', () => {
  it('draws the same for a seed, and others for another', async () => {
    const draw = async (seed: string) => {
      const random = new Seeded(seed);
      const key = await random.privateKey();
      const values = random.shuffled(Array.from({ length: 100 }, (_, at) => at));
      return [random.point(), random.number(), key.publicKey.toString(), values.join()];
    };
    assert.deepEqual(await draw('a'), await draw('a'));
    const other = await draw('b');
    assert.ok((await draw('a')).every((value, at) => value !== other[at]));
  });

  it('spreads its numbers evenly, and loses no value', () => {
    const random = new Seeded('even');
    const tenths = Array.from({ length: 10_000 }, () => Math.floor(random.number() * 10));
    const counts = Map.groupBy(tenths, (tenth) => tenth);
    assert.deepEqual([...counts.keys()].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const { length } of counts.values()) assert.ok(length > 700 && length < 1300);
    const values = Array.from({ length: 100 }, (_, at) => at);
    const shuffled = random.shuffled(values);
    assert.notDeepEqual(shuffled, values);
    assert.deepEqual(
      shuffled.toSorted((a, b) => a - b),
      values,
    );
  });
});
