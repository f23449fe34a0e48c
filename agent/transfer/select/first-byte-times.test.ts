import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FirstByteTimes } from './first-byte-times.ts';

function after(...times: readonly number[]): number {
  const firstBytes = new FirstByteTimes();
  for (const time of times) firstBytes.note(time);
  return firstBytes.lateAfter;
}

const repeat = (count: number, time: number): number[] => Array<number>(count).fill(time);

describe('FirstByteTimes', () => {
  it('takes a peer for late after 100 ms while it knows fewer than 20 times', () => {
    assert.equal(after(), 100);
    assert.equal(after(...repeat(19, 500)), 100);
  });

  it('takes a peer for late after twice the time in which 95 of 100 answers began', () => {
    assert.equal(after(...repeat(20, 200)), 400);
    assert.equal(after(...repeat(96, 30), ...repeat(4, 900)), 60);
  });

  it('keeps the time between 20 ms and a second', () => {
    assert.equal(after(...repeat(20, 1)), 20);
    assert.equal(after(...repeat(20, 60_000)), 1_000);
  });

  it('uses the newest 256 times', () => {
    assert.equal(after(...repeat(500, 400), ...repeat(256, 20)), 40);
  });
});
