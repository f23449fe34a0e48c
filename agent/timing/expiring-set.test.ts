import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ExpiringSet } from './expiring-set.ts';

describe('ExpiringSet', () => {
  it('remembers a string for its time, and forgets the oldest when there are too many', () => {
    let now = 0;
    const set = new ExpiringSet(2, () => now);
    set.add('a', 10);
    set.add('b', 100);
    assert.equal(set.has('a'), true);
    now = 10;
    assert.equal(set.has('a'), false);
    assert.equal(set.has('b'), true);
    set.add('c', 100);
    set.add('d', 100);
    assert.equal(set.has('b'), false, 'it is the oldest');
    set.delete('d');
    assert.equal(set.has('d'), false);
  });
});
