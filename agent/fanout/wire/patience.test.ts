import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Patience } from './patience.ts';

const { signal } = new AbortController();

/** Keeps this process from running anything else. */
function standStill(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** How long the wait took, when this process stands still after it has begun. */
async function waited(patience: Patience, ms: number, stillMs = 0): Promise<number> {
  const start = performance.now();
  const waiting = patience.wait(ms, signal);
  if (stillMs > 0) standStill(stillMs);
  await waiting;
  return performance.now() - start;
}

describe('Patience', () => {
  it('waits for no less than the time', async () => {
    assert.ok((await waited(new Patience(0), 65)) >= 64);
  });

  it('does not count the time in which the process stands still', async () => {
    const time = await waited(new Patience(1000), 60, 200);
    assert.ok(time >= 230 - 1, String(time));
  });

  it('waits longer by no more than the bound, all waits together', async (t) => {
    // Timers fire by the clock of the test only; each fires late by 100 ms.
    const clock = { now: 0 };
    t.mock.method(performance, 'now', () => clock.now);
    t.mock.method(globalThis, 'setTimeout', (call: () => void, ms: number) => {
      clock.now += ms + 100;
      queueMicrotask(call);
      return undefined;
    });
    const patience = new Patience(150);
    await patience.wait(30, signal);
    assert.equal(clock.now, 130, 'one slice, 100 ms of which do not count');
    await patience.wait(60, signal);
    // Of the first slice 50 ms do not count: 130 - 50 is more than 60.
    assert.equal(clock.now, 130 + 130);
    await patience.wait(60, signal);
    assert.equal(clock.now, 260 + 130, 'all counts');
  });

  it('ends at once when the signal is aborted, also before', async () => {
    const abort = new AbortController();
    const waiting = new Patience(0).wait(3_600_000, abort.signal);
    abort.abort();
    await waiting;
    await new Patience(0).wait(3_600_000, abort.signal);
  });
});
