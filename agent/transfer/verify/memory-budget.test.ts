import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';

import { MemoryBudget } from './memory-budget.ts';

test('memory is given out in order and no more than there is', async () => {
  const budget = new MemoryBudget(100);
  const given: string[] = [];
  const first = Promise.withResolvers<undefined>();
  const use = (name: string, bytes: number, until?: Promise<undefined>): Promise<void> =>
    budget.with(bytes, async () => {
      given.push(name);
      await until;
    });
  const all = [use('first', 60, first.promise), use('large', 100), use('small', 10)];
  await nextTurn();
  assert.deepEqual(given, ['first'], 'the small one does not overtake the large one');
  first.resolve(undefined);
  await Promise.all(all);
  assert.deepEqual(given, ['first', 'large', 'small']);
  await assert.rejects(budget.with(100, () => Promise.reject(new Error('it fails'))));
  await use('all', 100);
});
