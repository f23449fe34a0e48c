import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PairMeter } from './pair-meter.ts';

type Look = readonly [
  position: number,
  received: number,
  state: 'asked' | 'open' | 'complete' | 'failed',
];

/** Looks each 100 ms. */
function rateOf(looks: readonly Look[]): number | undefined {
  let now = 0;
  const meter = new PairMeter(200, () => now);
  for (const [position, received, state] of looks) {
    now += 100;
    meter.look(position, { state, received });
  }
  return meter.rate;
}

describe('PairMeter', () => {
  it('counts what both connections bring from the moment when the second one begins', () => {
    const looks = [
      [5000, 0, 'asked'],
      [6000, 500, 'open'],
      [7000, 1500, 'open'],
      [8000, 2500, 'open'],
    ] as const;
    assert.equal(rateOf(looks.slice(0, 3)), undefined);
    assert.equal(rateOf(looks), 20);
  });

  it('does not count the first one once the second one has ended', () => {
    const looks = [
      [1000, 0, 'open'],
      [1500, 500, 'open'],
      [2000, 1000, 'complete'],
    ] as const;
    assert.equal(rateOf(looks), 10);
    assert.equal(rateOf([...looks, [9000, 1000, 'complete']]), 10);
  });

  it('knows nothing of two that were beside each other for a moment', () => {
    assert.equal(rateOf([]), undefined);
    const looks = [
      [1000, 0, 'open'],
      [2000, 1000, 'complete'],
      [3000, 1000, 'complete'],
    ] as const;
    assert.equal(rateOf(looks), undefined);
  });
});
