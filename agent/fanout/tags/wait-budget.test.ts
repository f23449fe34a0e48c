import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { WaitBudget } from './wait-budget.ts';

let now: number;
let budget: WaitBudget;

beforeEach(() => {
  now = 1_000;
  budget = new WaitBudget(900, () => now);
});

describe('WaitBudget', () => {
  it('is for all resolves of one tag together', () => {
    assert.equal(budget.left('a'), 900);
    budget.spend('a', 400);
    budget.spend('a', 300);
    assert.deepEqual([budget.left('a'), budget.left('b')], [200, 900]);
    budget.spend('a', 300);
    assert.equal(budget.left('a'), 0);
  });

  it('is whole again half a minute after the last wait in vain, and after one that was not', () => {
    budget.spend('a', 500);
    now += 29_999;
    budget.spend('a', 1);
    now += 29_999;
    assert.equal(budget.left('a'), 399);
    now += 1;
    assert.equal(budget.left('a'), 900);
    budget.spend('a', 500);
    budget.clear('a');
    assert.equal(budget.left('a'), 900);
  });

  it('remembers no more than a thousand tags', () => {
    budget.spend('first', 900);
    for (let tag = 0; tag < 1_000; tag += 1) budget.spend(String(tag), 900);
    assert.deepEqual([budget.left('first'), budget.left('999')], [900, 0]);
  });
});
