import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Backoff } from './backoff.ts';

describe('Backoff', () => {
  it('doubles up to its bound with jitter downwards, and begins again', () => {
    const backoff = new Backoff({ first: 10, most: 80 });
    for (const longest of [10, 20, 40, 80, 80, 80]) {
      const wait = backoff.next();
      assert.ok(wait >= longest / 2 && wait <= longest, `${wait} of ${longest}`);
    }
    backoff.reset();
    assert.ok(backoff.next() <= 10);
  });

  it('stops waiting when told to', async () => {
    const stop = new AbortController();
    const waiting = new Backoff({ first: 1e6, most: 1e6 }).wait(stop.signal);
    stop.abort();
    await waiting;
  });
});
