import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ChangeHub } from './change-hub.ts';
import { ABSENT } from '../testing/conformance/content-store.ts';
import type { StoreChange } from './content-store.ts';

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}

describe('ChangeHub', () => {
  it('sends a consumer that falls behind one relist, and no change twice', async () => {
    const hub: ChangeHub = new ChangeHub({
      queueLimit: 10,
      produce: (signal) => {
        hub.reached();
        return untilAborted(signal);
      },
    });
    const stop = new AbortController();
    const changes = hub.follow(stop.signal);
    assert.deepEqual((await changes.next()).value, { kind: 'relist' });
    const added: StoreChange = { kind: 'blob-added', digest: ABSENT };
    for (let count = 0; count < 10; count += 1) hub.publish(added);
    assert.deepEqual((await changes.next()).value, added);
    hub.publish(added);
    hub.publish(added);
    hub.publish(added);
    assert.deepEqual((await changes.next()).value, { kind: 'relist' });
    hub.publish(added);
    assert.deepEqual((await changes.next()).value, added);
    stop.abort();
    assert.equal((await changes.next()).done, true);
  });

  it('runs one producer at a time, and none without consumers', async () => {
    let running = 0;
    let started = 0;
    const hub: ChangeHub = new ChangeHub({
      produce: async (signal) => {
        running += 1;
        started += 1;
        assert.equal(running, 1);
        hub.reached();
        await untilAborted(signal);
        await new Promise(setImmediate);
        running -= 1;
      },
    });
    for (let round = 0; round < 3; round += 1) {
      const stop = new AbortController();
      const both = [hub.follow(stop.signal), hub.follow(stop.signal)];
      for (const each of both) assert.deepEqual((await each.next()).value, { kind: 'relist' });
      stop.abort();
      await Promise.all(both.map((each) => each.next()));
      assert.equal(running, 0);
    }
    assert.equal(started, 3);
  });

  it('fails its consumers when its producer fails', async () => {
    const hub = new ChangeHub({ produce: () => Promise.reject(new Error('a bug')) });
    await assert.rejects(hub.follow(new AbortController().signal).next(), /a bug/);
  });

  it('ends its producer when a consumer is aborted and never asks again', async () => {
    let ended = false;
    const hub: ChangeHub = new ChangeHub({
      produce: async (signal) => {
        hub.reached();
        await untilAborted(signal);
        ended = true;
      },
    });
    const stop = new AbortController();
    assert.deepEqual((await hub.follow(stop.signal).next()).value, { kind: 'relist' });
    stop.abort();
    await new Promise(setImmediate);
    assert.ok(ended);
  });

  it('reports when the store can be reached and when it cannot', () => {
    const reported: boolean[] = [];
    const hub = new ChangeHub({
      produce: untilAborted,
      onReachable: (reachable) => reported.push(reachable),
    });
    hub.reached();
    hub.lost();
    assert.deepEqual(reported, [true, false]);
  });
});
