import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Rounds, type Subject } from './rounds.ts';

/** Gives the values one after the other, and records each call. */
function subject(name: string, values: readonly number[], order: string[]): Subject {
  const next = values.values();
  return {
    name,
    measure: () => {
      order.push(name);
      return Promise.resolve({ rate: next.next().value ?? NaN });
    },
  };
}

void describe('Rounds', () => {
  void it('measures in turn, and the other way round in every second round', async () => {
    const order: string[] = [];
    const rounds = new Rounds();
    const subjects = [subject('ours', [1, 1, 1], order), subject('peer', [1, 1, 1], order)];
    await rounds.run(subjects, 3);
    assert.deepEqual(order, ['ours', 'peer', 'peer', 'ours', 'ours', 'peer']);
  });

  void it('compares measurements of the same round', async () => {
    const rounds = new Rounds();
    // The machine is ten times as fast in the last round: the ratio of the medians would be 1.
    await rounds.run([subject('ours', [2, 20, 30], []), subject('peer', [1, 10, 20], [])], 3);
    assert.equal(rounds.ratio('ours', 'peer', 'rate'), 2);
    assert.equal(rounds.median('ours', 'rate'), 20);
    assert.equal(rounds.least('ours', 'rate'), 2);
  });

  void it('gives NaN as the ratio to a subject that was not measured', async () => {
    const rounds = new Rounds();
    await rounds.run([subject('ours', [1], [])], 1);
    assert.ok(Number.isNaN(rounds.ratio('ours', 'peer', 'rate')));
  });
});
