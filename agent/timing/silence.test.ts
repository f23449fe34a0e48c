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
});
