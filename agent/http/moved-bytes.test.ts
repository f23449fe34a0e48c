import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { addMovedBytes, movedBytes } from './moved-bytes.ts';

describe('movedBytes', () => {
  it('is the sum for one response, and 0 for others', () => {
    const [one, other] = [{} as never, {} as never];
    addMovedBytes(one, 3);
    addMovedBytes(one, 4);
    assert.equal(movedBytes(one), 7);
    assert.equal(movedBytes(other), 0);
  });
});
