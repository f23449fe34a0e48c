import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AttemptSlots } from './attempt-slots.ts';

describe('AttemptSlots', () => {
  it('gives as many slots as there are, and a released one again', () => {
    const slots = new AttemptSlots(2);
    assert.deepEqual(
      [slots.tryAcquire(), slots.tryAcquire(), slots.tryAcquire()],
      [true, true, false],
    );
    slots.release();
    assert.deepEqual([slots.tryAcquire(), slots.tryAcquire()], [true, false]);
  });
});
