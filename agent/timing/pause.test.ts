import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isAborted, pause } from './pause.ts';

describe('pause', () => {
  it('resolves when the signal is aborted, at once when it is aborted already', async () => {
    const stop = new AbortController();
    const paused = pause(1e6, stop.signal);
    stop.abort(new Error('the reason is not thrown'));
    await paused;
    await pause(1e6, stop.signal);
  });

  it('resolves after its time and not before', async () => {
    const start = performance.now();
    await pause(20, new AbortController().signal);
    assert.ok(performance.now() - start >= 19);
  });
});

describe('isAborted', () => {
  it('reads the state of the signal at each call', () => {
    const stop = new AbortController();
    assert.equal(isAborted(stop.signal), false);
    stop.abort();
    assert.equal(isAborted(stop.signal), true);
  });
});
