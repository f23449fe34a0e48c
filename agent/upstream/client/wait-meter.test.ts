import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { WaitMeter } from './wait-meter.ts';

/** Feeds one chunk for each 100 ms: its bytes, and how long it was waited for. */
function meterOf(chunks: readonly (readonly [length: number, waited: number])[]): WaitMeter {
  let now = 0;
  const meter = new WaitMeter(500, () => now);
  for (const [length, waited] of chunks) {
    now += 100;
    meter.add({ length, waited });
  }
  return meter;
}

const times = <T>(count: number, value: T): T[] => Array<T>(count).fill(value);

describe('WaitMeter', () => {
  it('takes two steady rates for a connection that is throttled', () => {
    assert.equal(meterOf(times(9, [1000, 95] as const)).isWaiting, false);
    const meter = meterOf(times(10, [1000, 95] as const));
    assert.equal(meter.isWaiting, true);
    assert.equal(meter.rate, 10);
  });

  it('does not take one for it whose rate still grows, or whose client is slow', () => {
    const growing = [...times(5, [1000, 95] as const), ...times(5, [2000, 95] as const)];
    assert.equal(meterOf(growing).isWaiting, false);
    assert.equal(meterOf([...growing, ...times(5, [2000, 95] as const)]).isWaiting, true);
    assert.equal(meterOf(times(10, [1000, 50] as const)).isWaiting, false);
  });

  it('does not take a fast one for it', () => {
    assert.equal(meterOf(times(10, [10_000_000, 95] as const)).isWaiting, false);
  });
});
