import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { Wakeup } from './wakeup.ts';

/** Whether the promise settles within a turn of the event loop. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  const turn = new Promise((resolve) => setImmediate(resolve, 'turn'));
  return (await Promise.race([promise, turn])) !== 'turn';
}

describe('Wakeup', () => {
  const { signal } = new AbortController();

  it('wakes the waiting task, and leaves no listener behind', async () => {
    const wakeup = new Wakeup();
    const waiting = wakeup.wait(signal);
    assert.equal(await settles(waiting), false);
    wakeup.call();
    await waiting;
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('remembers calls while no task waits, and counts several as one', async () => {
    const wakeup = new Wakeup();
    wakeup.call();
    wakeup.call();
    assert.equal(await settles(wakeup.wait(signal)), true);
    const waiting = wakeup.wait(signal);
    assert.equal(await settles(waiting), false);
    wakeup.call();
    await waiting;
  });

  it('ends the wait when the signal is aborted', async () => {
    const stop = new AbortController();
    const waiting = new Wakeup().wait(stop.signal);
    stop.abort();
    await waiting;
    await new Wakeup().wait(stop.signal);
  });
});
