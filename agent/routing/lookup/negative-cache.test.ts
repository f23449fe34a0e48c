import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MAX_NEGATIVE_ENTRIES, NegativeCache, NEGATIVE_TTL_MS } from './negative-cache.ts';

describe('NegativeCache', () => {
  it('forgets an entry after its time, or when it is deleted', () => {
    let now = 0;
    const cache = new NegativeCache(() => now);
    cache.add('key', 'a');
    cache.add('key', 'b');
    assert.equal(cache.has('key', 'a'), true);
    assert.equal(cache.has('other', 'a'), false);
    cache.delete('key', 'b');
    assert.equal(cache.has('key', 'b'), false);
    now = NEGATIVE_TTL_MS;
    assert.equal(cache.has('key', 'a'), false);
  });

  it('holds a bounded number of entries and drops the oldest', () => {
    const cache = new NegativeCache(() => 0);
    for (let i = 0; i <= MAX_NEGATIVE_ENTRIES; i++) cache.add(String(i), 'a');
    assert.equal(cache.has('0', 'a'), false);
    assert.equal(cache.has('1', 'a'), true);
    assert.equal(cache.has(String(MAX_NEGATIVE_ENTRIES), 'a'), true);
  });
});
