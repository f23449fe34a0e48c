import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Silence } from './silence.ts';

describe('Silence', () => {
  it('has a time-out until the first byte, and another one between bytes', () => {
    const silence = new Silence({ stallTimeout: 100, firstByteTimeout: 5_000 });
    assert.equal(silence.patience, 5_000);
    silence.ended(3_000);
    assert.equal(silence.patience, 100);
  });

  it('lets an adaptive sender be silent for three times its longest silence, within a bound', () => {
    const silence = new Silence({ stallTimeout: 1_000, isAdaptive: true });
    silence.ended(10);
    assert.equal(silence.patience, 1_000);
    silence.ended(900);
    silence.ended(20);
    assert.equal(silence.patience, 2_700);
    silence.ended(29_000);
    assert.equal(silence.patience, 30_000);
  });

  it('gives a sender that does not answer the shortest time, and one that does three times as long, in this silence', () => {
    const silence = new Silence({ stallTimeout: 1_000, isAdaptive: true });
    let changes = 0;
    silence.onChange(() => (changes += 1));
    silence.ended(2_000);
    silence.answers(true);
    assert.equal(silence.patience, 6_000);
    silence.answers(false);
    assert.equal(silence.patience, 1_000);
    silence.answers(true);
    assert.equal(silence.patience, 3_000);
    assert.equal(changes, 3);
    silence.ended(10);
    assert.equal(silence.patience, 6_000);
  });

  it('gives one that goes on in the place of another three times the shortest time for its first byte', () => {
    const times = { stallTimeout: 1_000, firstByteTimeout: 10_000 };
    const silence = new Silence(times);
    silence.goesOn();
    assert.equal(silence.patience, 3_000);
    silence.ended(10);
    assert.equal(silence.patience, 1_000);
  });
});
