import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Provider } from '../../routing/router.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import { busyHolder, ReturnToBusy } from './return-to-busy.ts';

const never = new AbortController().signal;

/** A race whose holders are all busy. */
function startRace() {
  const state = { busy: ['a', 'b'], exhausted: false, queue: [] as string[], searches: 0 };
  const attempts = {
    get hasBusy() {
      return state.busy.length > 0;
    },
    get exhausted() {
      return state.exhausted;
    },
    takeBusy: (): Provider[] => state.busy.splice(0).map((peerId) => ({ peerId, origins: [] })),
  };
  const search = {
    putBack: ({ peerId }: Provider) => state.queue.push(peerId),
    again: () => (state.searches += 1),
  };
  return { state, returns: new ReturnToBusy(attempts, search), news: new Wakeup() };
}

describe('ReturnToBusy', () => {
  it('puts the busy holders back and asks the DHT again when there are no news', async (t) => {
    const { state, returns, news } = startRace();
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const waiting = returns.wait(news, never);
    t.mock.timers.tick(25);
    await waiting;
    assert.deepEqual(state, { busy: [], exhausted: false, queue: ['a', 'b'], searches: 1 });
    assert.ok(!returns.isPossible);
  });

  it('leaves the busy holders alone when there are news before', async () => {
    const { state, returns, news } = startRace();
    news.call();
    await returns.wait(news, never);
    assert.deepEqual([state.busy, state.searches], [['a', 'b'], 0]);
  });

  it('returns nothing when the time is over', async () => {
    const { state, returns, news } = startRace();
    await returns.wait(news, AbortSignal.abort());
    assert.deepEqual([state.busy, state.searches], [['a', 'b'], 0]);
  });

  it('returns 16 times, and not when too many peers have answered wrongly', async (t) => {
    const { state, returns, news } = startRace();
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (let round = 0; round < 16; round++) {
      assert.ok(returns.isPossible);
      const waiting = returns.wait(news, never);
      t.mock.timers.tick(500);
      await waiting;
      state.busy = ['a'];
    }
    assert.ok(!returns.isPossible);
    const other = startRace();
    other.state.exhausted = true;
    assert.ok(!other.returns.isPossible);
  });
});

describe('busyHolder', () => {
  it('keeps the report of the peer, with its alternatives', () => {
    const report = { alternatives: ['a'], retryLater: false };
    const failure = busyHolder({ report });
    assert.deepEqual([failure.reason, failure.report], ['busy', report]);
  });
});
