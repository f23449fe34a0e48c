import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Backoff } from './backoff.ts';

describe('Backoff', () => {
  it('doubles its waits up to the bound, shortened by up to a half, and begins again after a reset', () => {
    const backoff = new Backoff({ first: 10, max: 80 });
    for (const longest of [10, 20, 40, 80, 80, 80]) {
      const wait = backoff.next();
      assert.ok(wait >= longest / 2 && wait <= longest, `${wait} of ${longest}`);
    }
    backoff.reset();
    assert.ok(backoff.next() <= 10);
  });

  it('ends a wait when the signal is aborted', async () => {
    const stop = new AbortController();
    const waiting = new Backoff({ first: 1e6, max: 1e6 }).wait(stop.signal);
    stop.abort();
    await waiting;
  });
});
