import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RequestRateLimiter } from './request-rate-limiter.ts';

describe('RequestRateLimiter', () => {
  it('delays the requests of a peer beyond its rate, and no others', () => {
    let now = 0;
    const limiter = new RequestRateLimiter(() => now);
    assert.equal(limiter.spend('a', 20_000), 0, 'a full bucket');
    assert.equal(limiter.spend('a', 2000), 100);
    assert.equal(limiter.spend('b', 10), 0);
    now = 200;
    assert.equal(limiter.spend('a', 1000), 0, 'the bucket has gained tokens');
    now = 1e9;
    assert.equal(limiter.spend('a', 20_000), 0, 'the bucket is full, and not more');
    assert.ok(limiter.spend('a', 20_000) > 900);
  });

  it('forgets the peer that was idle for longest beyond 10,000 peers', () => {
    const limiter = new RequestRateLimiter(() => 0);
    limiter.spend('first', 30_000);
    for (let i = 0; i < 10_000; i++) limiter.spend(String(i), 1);
    assert.equal(limiter.spend('first', 1), 0, 'forgotten');
  });
});
