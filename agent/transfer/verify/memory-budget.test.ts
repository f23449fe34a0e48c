import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, it } from 'node:test';

import { MemoryBudget } from './memory-budget.ts';

const never = new AbortController().signal;

/** Asks for memory, and notes under the name when it is granted. */
function recorder(budget: MemoryBudget) {
  const granted: string[] = [];
  const acquire = async (name: string, bytes: number, group: string): Promise<Disposable> => {
    const memory = await budget.acquire(bytes, [group], never);
    granted.push(name);
    return memory;
  };
  return { granted, acquire };
}

describe('MemoryBudget', () => {
  it('does not let the requests of one group wait for those of another', async () => {
    const budget = new MemoryBudget(100);
    const { granted, acquire } = recorder(budget);
    const slow = Array.from({ length: 64 }, (_, index) => acquire(`slow ${index}`, 10, 'slow'));
    await acquire('other', 10, 'other');
    assert.deepEqual(granted, ['slow 0', 'slow 1', 'slow 2', 'slow 3', 'slow 4', 'other']);
    assert.ok(budget.hasWaiters);
    for (const memory of await Promise.all(slow.slice(0, 2))) memory[Symbol.dispose]();
    await nextTurn();
    assert.equal(granted.at(-1), 'slow 5', 'the one that waited longest is the first');
  });

  it('grants a request for all of it as soon as nothing is in use', async () => {
    const budget = new MemoryBudget(100);
    const { granted, acquire } = recorder(budget);
    const first = await acquire('first', 60, 'a');
    const large = acquire('large', 100, 'b');
    await nextTurn();
    assert.deepEqual(granted, ['first']);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    (await large)[Symbol.dispose]();
    await acquire('again', 100, 'a');
    assert.deepEqual(granted, ['first', 'large', 'again'], 'nothing was freed twice');
  });

  it('gives up when its signal is aborted, and frees the place', async () => {
    const budget = new MemoryBudget(100);
    const stop = new AbortController();
    await budget.acquire(100, ['a'], never);
    const waiting = budget.acquire(1, ['b'], stop.signal);
    assert.ok(budget.hasWaiters);
    stop.abort();
    await assert.rejects(waiting, { code: 'ERR_MEMORY_BUSY' });
    assert.ok(!budget.hasWaiters);
  });

  it('refuses at once when too many of a group wait, and lets others wait', async () => {
    const budget = new MemoryBudget(100, 10);
    const held = await budget.acquire(100, ['a'], never);
    const waiting = Array.from({ length: 6 }, () => budget.acquire(1, ['a'], never));
    const results = Promise.allSettled(waiting);
    const refused = await Promise.race(waiting.map((it) => it.catch((error: unknown) => error)));
    assert.equal((refused as { code: string }).code, 'ERR_MEMORY_BUSY');
    const other = budget.acquire(1, ['b'], never);
    held[Symbol.dispose]();
    (await other)[Symbol.dispose]();
    const states = (await results).map(({ status }) => status);
    assert.deepEqual(states, [...Array.from({ length: 5 }, () => 'fulfilled'), 'rejected']);
  });
});
