import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { PausableTimeout } from './pausable-timeout.ts';

describe('Budget', () => {
  it('is spent when the time that it ran adds up to the whole', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using budget = new PausableTimeout(250);
    // Step by step: a timer that is set in a callback begins when the tick ends.
    for (const step of [100, 100, 49]) t.mock.timers.tick(step);
    assert.ok(!budget.signal.aborted);
    t.mock.timers.tick(1);
    assert.ok(budget.signal.aborted);
  });

  it('does not run while it is paused', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using budget = new PausableTimeout(100);
    budget.pause();
    t.mock.timers.tick(1_000);
    assert.ok(!budget.signal.aborted);
    budget.resume();
    t.mock.timers.tick(100);
    assert.ok(budget.signal.aborted);
  });

  it('does not count time in which the process could not work', async () => {
    using budget = new PausableTimeout(1_000);
    const until = performance.now() + 1_500;
    while (performance.now() < until);
    await delay(1);
    assert.ok(!budget.signal.aborted);
  });
});
