import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ExtendableTimeout } from './extendable-timeout.ts';

/** Lets time pass step by step: a timer that a callback sets begins at the end of the tick. */
function pass(t: TestContext, milliseconds: number): void {
  for (let left = milliseconds; left > 0; left -= 50) t.mock.timers.tick(Math.min(50, left));
}

describe('ExtendableTimeout', () => {
  it('aborts when its time is over', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using timeout = new ExtendableTimeout(250);
    pass(t, 249);
    assert.ok(!timeout.signal.aborted);
    pass(t, 1);
    assert.ok(timeout.signal.aborted);
  });

  it('runs on to its longest extension, and no longer', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using timeout = new ExtendableTimeout(100);
    timeout.extendTo(300);
    timeout.extendTo(200);
    pass(t, 299);
    assert.ok(!timeout.signal.aborted);
    pass(t, 1);
    assert.ok(timeout.signal.aborted);
  });

  it('adds nothing up: extensions count from its start', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using timeout = new ExtendableTimeout(100);
    for (let body = 0; body < 3; body += 1) {
      const extension = timeout.extendTo(300);
      pass(t, 100);
      extension[Symbol.dispose]();
      assert.ok(timeout.signal.aborted, 'its own time is over when the extension ends');
    }
  });

  it('goes on when an extension ends within its own time', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using timeout = new ExtendableTimeout(200);
    const extension = timeout.extendTo(300);
    pass(t, 100);
    extension[Symbol.dispose]();
    assert.ok(!timeout.signal.aborted);
    pass(t, 100);
    assert.ok(timeout.signal.aborted);
  });

  it('does not count time in which the process did not get to run', async () => {
    using timeout = new ExtendableTimeout(1_000);
    const until = performance.now() + 1_500;
    while (performance.now() < until);
    await delay(1);
    assert.ok(!timeout.signal.aborted);
  });
});
