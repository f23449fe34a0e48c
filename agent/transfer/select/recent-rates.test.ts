import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { RecentRates } from './recent-rates.ts';

const MIB = 1024 * 1024;

let now: number;
let rates: RecentRates;

describe('RecentRates', () => {
  beforeEach(() => {
    now = 0;
    rates = new RecentRates(() => now);
  });

  it('are unknown at first', () => {
    assert.equal(rates.typical, undefined);
  });

  it('are the median of the latest of each peer, so that one slow peer changes little', () => {
    rates.note('a', 10 * MIB, 1_000);
    assert.equal(rates.typical, 10 * MIB);
    for (let time = 0; time < 9; time += 1) rates.note('slow', MIB, 10_000);
    assert.equal(rates.typical, 10 * MIB);
    rates.note('b', 12 * MIB, 1_000);
    assert.equal(rates.typical, 10 * MIB);
    rates.note('a', MIB, 1_000);
    assert.equal(rates.typical, MIB);
  });

  it('are not those of small bodies, unless they were waited for, nor of peers that drip', () => {
    rates.note('a', 1_000, 999);
    rates.note('b', 1_000, 1_000);
    rates.note('c', 0, 10_000);
    assert.equal(rates.typical, undefined);
    rates.note('d', 100_000, 2_000);
    assert.equal(rates.typical, 50_000);
  });

  it('are forgotten after ten minutes', () => {
    rates.note('a', MIB, 1_000);
    now = 600_000;
    assert.equal(rates.typical, MIB);
    now = 600_001;
    assert.equal(rates.typical, undefined);
  });

  it('are those of the last 32 peers', () => {
    for (let peer = 0; peer < 32; peer += 1) rates.note(`old ${String(peer)}`, MIB, 1_000);
    for (let peer = 0; peer < 32; peer += 1) rates.note(`new ${String(peer)}`, 2 * MIB, 1_000);
    rates.note('old 0', MIB, 1_000);
    assert.equal(rates.typical, 2 * MIB);
  });
});
