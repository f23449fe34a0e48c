import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RequestRateLimiter } from './request-rate-limiter.ts';

test('a peer that asks too fast waits, for as long as its haste takes, and others do not', () => {
  let now = 0;
  const budget = new RequestRateLimiter(() => now);
  assert.equal(budget.spend('a', 20_000), 0, 'all at once');
  assert.equal(budget.spend('a', 2000), 100);
  assert.equal(budget.spend('b', 10), 0);
  now = 200;
  assert.equal(budget.spend('a', 1000), 0, 'has earned it');
  now = 1e9;
  assert.equal(budget.spend('a', 20_000), 0, 'but never more than the burst');
  assert.ok(budget.spend('a', 20_000) > 900);
});

test('the number of peers that are remembered is bounded', () => {
  const budget = new RequestRateLimiter(() => 0);
  budget.spend('first', 30_000);
  for (let i = 0; i < 10_000; i++) budget.spend(String(i), 1);
  assert.equal(budget.spend('first', 1), 0, 'forgotten');
});
