import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import { VirtualClock } from './virtual-clock.ts';

/** A clock that takes the place of the real one until the end of the test. */
function startClock(t: TestContext): VirtualClock {
  const clock = new VirtualClock();
  const installed = clock.install();
  t.after(() => {
    installed[Symbol.dispose]();
  });
  return clock;
}

describe('VirtualClock', () => {
  it('takes the place of all clocks, and restores them', async () => {
    const clocks = (): unknown[] => [
      setTimeout,
      delay,
      turn,
      Date.now,
      Reflect.get(AbortSignal, 'timeout'),
    ];
    const before = clocks();
    const real = performance.now();
    const clock = new VirtualClock();
    {
      using installed = clock.install();
      assert.ok(installed);
      const date = Date.now();
      const start = performance.now();
      const log: string[] = [];
      const at = (): number => performance.now() - start;
      setTimeout((word: string) => log.push(`${word} ${at()}`), 50, 'timeout');
      const interval = setInterval(() => log.push(`interval ${at()}`), 20);
      void delay(30, 'pause').then((value) => log.push(`${value} ${at()}`));
      setImmediate(() => log.push(`immediate ${at()}`));
      AbortSignal.timeout(45).addEventListener('abort', () => log.push(`signal ${at()}`));
      await clock.run(55);
      clearInterval(interval);
      await clock.run(1e9);
      assert.deepEqual(log, [
        'immediate 0',
        'interval 20',
        'pause 30',
        'interval 40',
        'signal 45',
        'timeout 50',
      ]);
      assert.equal(Date.now() - date, 1e9 + 55);
      assert.equal(clock.pending, 0);
    }
    assert.deepEqual(clocks(), before);
    assert.ok(performance.now() >= real);
  });

  it('runs all promise chains between two timers, also those that take a turn of the event loop', async (t) => {
    const clock = startClock(t);
    const log: string[] = [];
    setTimeout(() => {
      void (async () => {
        for (let round = 0; round < 1000; round++) await Promise.resolve();
        await turn();
        process.nextTick(() => log.push('first'));
      })();
    }, 1);
    setTimeout(() => log.push('second'), 2);
    await clock.run(5);
    assert.deepEqual(log, ['first', 'second']);
  });

  it('clears timers, and ends pauses when their signal aborts', async (t) => {
    const clock = startClock(t);
    const abort = new AbortController();
    const timer = setTimeout(() => assert.fail('it was cleared'), 1);
    clearTimeout(timer);
    clearTimeout(undefined);
    const paused = assert.rejects(delay(1000, undefined, { signal: abort.signal }), {
      name: 'AbortError',
    });
    setTimeout(() => {
      abort.abort();
    }, 10);
    await clock.run(10);
    await paused;
    await assert.rejects(delay(5, undefined, { signal: abort.signal }), { name: 'AbortError' });
    assert.equal(clock.pending, 0);
  });

  it('takes fractions of a millisecond from the network only', async (t) => {
    const clock = startClock(t);
    const fired: number[] = [];
    const start = clock.now;
    clock.schedule(0.5, () => fired.push(clock.now - start));
    setTimeout(() => fired.push(clock.now - start), 1.7);
    setTimeout(() => fired.push(clock.now - start), 0);
    await clock.run(3);
    assert.deepEqual(fired, [0.5, 1, 1]);
  });
});
