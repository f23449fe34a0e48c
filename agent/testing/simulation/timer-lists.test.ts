import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { TimerLists, VirtualTimer } from './timer-lists.ts';

const nothing = (): void => undefined;

describe('TimerLists', () => {
  it('gives timers in the order in which they are due, and those of one time in the order in which they were set', () => {
    const lists = new TimerLists();
    const delays = Array.from({ length: 2000 }, () => Math.floor(Math.random() * 50));
    const set = delays.map((delayMs, index) => {
      const timer = new VirtualTimer(nothing);
      lists.set(timer, Math.floor(index / 100), delayMs);
      return timer;
    });
    const expected = set.toSorted((a, b) => a.at - b.at || a.order - b.order);
    assert.equal(lists.size, 2000);
    const taken = set.map(() => lists.take(Infinity));
    assert.deepEqual(
      taken.map((timer) => timer?.order),
      expected.map(({ order }) => order),
    );
    assert.equal(lists.take(Infinity), undefined);
    assert.equal(lists.size, 0);
  });

  it('gives no timer that is due later, and none that was cleared', () => {
    const lists = new TimerLists();
    const [first, second, third] = [
      new VirtualTimer(nothing),
      new VirtualTimer(nothing),
      new VirtualTimer(nothing),
    ];
    lists.set(first, 0, 10);
    lists.set(second, 1, 10);
    lists.set(third, 1, 5);
    lists.clear(third);
    lists.clear(third);
    lists.clear(first);
    assert.equal(lists.take(10), undefined);
    assert.equal(lists.take(11), second);
    assert.ok(!second.isSet);
    lists.set(second, 11, 3);
    assert.equal(lists.take(14), second);
  });

  it('takes half a million timers in constant time each', () => {
    const lists = new TimerLists();
    const timers = Array.from({ length: 500_000 }, (_, index) => {
      const timer = new VirtualTimer(nothing);
      lists.set(timer, index / 1000, 1000 + (index % 7));
      return timer;
    });
    for (const [index, timer] of timers.entries()) if (index % 10 > 0) lists.clear(timer);
    assert.equal(lists.size, 50_000);
    let last = 0;
    for (let timer = lists.take(Infinity); timer !== undefined; timer = lists.take(Infinity)) {
      assert.ok(timer.at >= last);
      last = timer.at;
    }
  });
});
