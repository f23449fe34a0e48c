import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, it } from 'node:test';

import { MemoryBudget } from './memory-budget.ts';

describe('MemoryBudget', () => {
  it('grants memory in the order of the requests, and no more than there is', async () => {
    const budget = new MemoryBudget(100);
    const granted: string[] = [];
    const first = Promise.withResolvers<undefined>();
    const use = (name: string, bytes: number, until?: Promise<undefined>): Promise<void> =>
      budget.with(bytes, async () => {
        granted.push(name);
        await until;
      });
    const all = [use('first', 60, first.promise), use('large', 100), use('small', 10)];
    await nextTurn();
    assert.deepEqual(granted, ['first'], 'the small one does not overtake the large one');
    assert.ok(budget.hasWaiters);
    first.resolve(undefined);
    await Promise.all(all);
    assert.deepEqual(granted, ['first', 'large', 'small']);
    assert.ok(!budget.hasWaiters);
  });

  it('frees the memory of a task that fails', async () => {
    const budget = new MemoryBudget(100);
    await assert.rejects(budget.with(100, () => Promise.reject(new Error('it fails'))));
    await budget.with(100, () => Promise.resolve());
  });
});
