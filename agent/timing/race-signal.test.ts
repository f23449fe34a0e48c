import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { raceSignal } from './race-signal.ts';

describe('raceSignal', () => {
  it('resolves or rejects as the work does, and leaves no listener behind', async () => {
    const { signal } = new AbortController();
    assert.equal(await raceSignal(Promise.resolve(1), signal), 1);
    await assert.rejects(raceSignal(Promise.reject(new Error('failed')), signal), /failed/);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    assert.equal(await raceSignal(Promise.resolve(2)), 2);
  });

  it('rejects with the reason of the signal while the work continues', async () => {
    const stop = new AbortController();
    const work = Promise.withResolvers<number>();
    const raced = raceSignal(work.promise, stop.signal);
    stop.abort(new Error('left'));
    await assert.rejects(raced, /left/);
    work.resolve(1);
    assert.equal(await work.promise, 1);
  });

  it('handles the failure of work whose signal was aborted before', async () => {
    const work = Promise.withResolvers<never>();
    const raced = raceSignal(work.promise, AbortSignal.abort(new Error('left')));
    await assert.rejects(raced, /left/);
    // An unhandled rejection would fail the test.
    work.reject(new Error('failed later'));
    await new Promise(setImmediate);
  });
});
