import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { Silences } from './silences.ts';

let now: number;
let silences: Silences;

describe('Silences', () => {
  beforeEach(() => {
    now = 0;
    silences = new Silences(() => now);
  });

  it('last for five seconds, or until the member answers', () => {
    assert.equal(silences.isSilent('a'), false);
    silences.note('a');
    silences.note('b');
    now = 4_999;
    assert.deepEqual([silences.isSilent('a'), silences.isGone('a')], [true, false]);
    silences.answered('a');
    assert.equal(silences.isSilent('a'), false);
    assert.equal(silences.isSilent('b'), true);
    now = 5_000;
    assert.equal(silences.isSilent('b'), false);
  });

  it('show that the member is gone after three of them, a second apart', () => {
    for (const at of [0, 10, 900, 1_000, 1_500]) {
      now = at;
      silences.note('a');
    }
    assert.equal(silences.isGone('a'), false);
    now = 2_000;
    silences.note('a');
    assert.equal(silences.isGone('a'), true);
    silences.answered('a');
    assert.equal(silences.isGone('a'), false);
  });

  it('are forgotten when none was noticed for five seconds', () => {
    for (const at of [0, 1_000, 6_000]) {
      now = at;
      silences.note('a');
    }
    assert.deepEqual([silences.isSilent('a'), silences.isGone('a')], [true, false]);
  });
});
