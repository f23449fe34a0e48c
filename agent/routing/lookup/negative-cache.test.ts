import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_NEGATIVE_ENTRIES, NegativeCache, NEGATIVE_TTL_MS } from './negative-cache.ts';

test('a suppression ends by time, or when it is lifted', () => {
  let now = 0;
  const suppressions = new NegativeCache(() => now);
  suppressions.add('key', 'a');
  suppressions.add('key', 'b');
  assert.equal(suppressions.has('key', 'a'), true);
  assert.equal(suppressions.has('other', 'a'), false);
  suppressions.lift('key', 'b');
  assert.equal(suppressions.has('key', 'b'), false);
  now = NEGATIVE_TTL_MS;
  assert.equal(suppressions.has('key', 'a'), false);
});

test('their number is bounded; the oldest go', () => {
  const suppressions = new NegativeCache(() => 0);
  for (let i = 0; i <= MAX_NEGATIVE_ENTRIES; i++) suppressions.add(String(i), 'a');
  assert.equal(suppressions.has('0', 'a'), false);
  assert.equal(suppressions.has('1', 'a'), true);
  assert.equal(suppressions.has(String(MAX_NEGATIVE_ENTRIES), 'a'), true);
});
