import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { PausableTimeout } from './pausable-timeout.ts';

describe('PausableTimeout', () => {
  it('aborts when the time that it ran adds up to the whole', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using timeout = new PausableTimeout(250);
    // Step by step: a timer that a callback sets begins at the end of the tick.
    for (const step of [100, 100, 49]) t.mock.timers.tick(step);
    assert.ok(!timeout.signal.aborted);
    t.mock.timers.tick(1);
    assert.ok(timeout.signal.aborted);
  });

  it('does not run while it is paused', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using timeout = new PausableTimeout(100);
    timeout.pause();
    t.mock.timers.tick(1_000);
    assert.ok(!timeout.signal.aborted);
    timeout.resume();
    t.mock.timers.tick(100);
    assert.ok(timeout.signal.aborted);
  });

  it('does not count time in which the process did not get to run', async () => {
    using timeout = new PausableTimeout(1_000);
    const until = performance.now() + 1_500;
    while (performance.now() < until);
    await delay(1);
    assert.ok(!timeout.signal.aborted);
  });
});
