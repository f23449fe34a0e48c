import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FairSlots } from './fair-slots.ts';

/** Takes slots until there are no more, and returns how many, and why there were no more. */
function takeAll(slots: FairSlots, client?: string): [number, string | undefined] {
  for (let count = 0; ; count++) {
    const refusal = slots.refusal(client);
    if (refusal !== undefined || count === 1_000) return [count, refusal];
    slots.take(client);
  }
}

describe('FairSlots', () => {
  it('gives one client two thirds, and always leaves slots for another', () => {
    const slots = new FairSlots(90);
    assert.deepEqual(takeAll(slots, 'a'), [60, 'share']);
    for (const client of ['b', 'c', 'd']) {
      const [count, refusal] = takeAll(slots, client);
      assert.ok(count > 0 && refusal === 'share', client);
    }
    assert.equal(slots.refusal('e'), undefined);
  });

  it('gives all slots to clients that need no share, and the only one to anyone', () => {
    const slots = new FairSlots(3);
    assert.deepEqual(takeAll(slots), [3, 'full']);
    assert.deepEqual(takeAll(new FairSlots(1), 'a'), [1, 'full']);
    assert.equal(takeAll(new FairSlots(0), 'a')[0], 1_000);
  });

  it('gives a slot again that was returned', () => {
    const slots = new FairSlots(1);
    const release = slots.take('a');
    assert.deepEqual([slots.taken, slots.refusal('b')], [1, 'full']);
    release();
    assert.deepEqual([slots.taken, slots.refusal('b')], [0, undefined]);
  });
});
