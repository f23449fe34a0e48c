import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Hedging } from './hedging.ts';

describe('Hedging', () => {
  it('asks no hedge while no peer is late', () => {
    const hedging = new Hedging();
    assert.equal(hedging.next(), 'regular');
    assert.equal(hedging.won('regular'), undefined);
  });

  it('counts nothing when a peer is late and no other was asked', () => {
    const hedging = new Hedging();
    hedging.peerIsLate();
    assert.equal(hedging.won('regular'), undefined);
    assert.equal(hedging.next(), 'regular', 'the next answer begins without hedges');
  });

  it('counts whether a hedge or the late peer answered first', () => {
    for (const [cause, expected] of [
      ['hedge', 'won'],
      ['regular', 'lost'],
    ] as const) {
      const hedging = new Hedging();
      hedging.peerIsLate();
      assert.deepEqual([hedging.next(), hedging.next()], ['hedge', 'hedge']);
      hedging.peerIsLate();
      assert.equal(hedging.won(cause), expected);
      assert.equal(hedging.won(cause), undefined);
    }
  });
});
