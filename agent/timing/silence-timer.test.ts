import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Silence } from './silence.ts';
import { SilenceTimer } from './silence-timer.ts';

/** A timer whose sender may be silent for 10 s until the first byte, and for 1 s later. */
function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const now = performance.now.bind(performance);
  let later = 0;
  t.mock.method(performance, 'now', () => now() + later);
  const pass = (milliseconds: number): void => {
    later += milliseconds;
    t.mock.timers.tick(milliseconds);
  };
  const silence = new Silence({ stallTimeout: 1_000, firstByteTimeout: 10_000 });
  const ended: number[] = [];
  const timer = new SilenceTimer(silence, (patience) => ended.push(patience));
  return { silence, timer, ended, pass };
}

describe('SilenceTimer', () => {
  it('ends a wait when it has lasted too long', (t) => {
    const { timer, ended, pass } = start(t);
    timer.start();
    pass(9_999);
    timer.start();
    assert.deepEqual(ended, []);
    pass(1);
    assert.deepEqual(ended, [10_000]);
  });

  it('begins anew with each byte, and does not count what comes while none is waited for', (t) => {
    const { timer, ended, pass } = start(t);
    timer.start();
    pass(5_000);
    timer.arrived();
    pass(20_000);
    timer.start();
    pass(999);
    assert.deepEqual(ended, []);
    pass(1);
    assert.deepEqual(ended, [1_000]);
  });

  it('ends a wait at once when it is found that the sender is gone, and later when it is there', (t) => {
    const { silence, timer, ended, pass } = start(t);
    timer.start();
    timer.arrived();
    timer.start();
    pass(900);
    silence.answers(true);
    pass(1_000);
    assert.deepEqual(ended, []);
    silence.answers(false);
    pass(1);
    assert.deepEqual(ended, [1_000]);
    timer.stop();
    silence.answers(false);
    pass(2_000);
    assert.equal(ended.length, 1);
  });
});
