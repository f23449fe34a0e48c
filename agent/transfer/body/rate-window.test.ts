import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RateWindow } from './rate-window.ts';

/** A window on a clock of its own. */
function start() {
  const clock = { now: 0 };
  const window = new RateWindow(() => clock.now);
  /** Bytes that come after this many milliseconds, of which the body waits for the peer as long as given. */
  const pass = (milliseconds: number, bytes: number, waited = milliseconds): number | undefined => {
    clock.now += milliseconds;
    window.arrived(bytes, waited);
    return window.take();
  };
  return { window, pass };
}

describe('RateWindow', () => {
  it('gives the rate once three seconds were spent waiting', () => {
    const { pass } = start();
    assert.equal(pass(2_000, 10_000), undefined);
    assert.equal(pass(2_000, 30_000), 10_000);
    assert.equal(pass(2_000, 30_000), undefined, 'the next window has begun');
  });

  it('gives none when the client took most of the time', () => {
    const { pass } = start();
    assert.equal(pass(10_000, 10_000, 3_000), undefined);
    assert.equal(pass(4_000, 9_000, 3_000), 3_000);
  });

  it('waits twice as long when nothing came of a window', () => {
    const { window, pass } = start();
    window.lengthen();
    assert.equal(pass(4_000, 6_000), undefined);
    assert.equal(pass(2_000, 6_000), 2_000);
  });

  it('waits twelve seconds at most', () => {
    const { window, pass } = start();
    for (let times = 0; times < 10; times += 1) window.lengthen();
    assert.equal(pass(12_000, 12_000), 1_000);
  });

  it('does not count what was before a restart', () => {
    const { window, pass } = start();
    pass(2_500, 1_000_000);
    window.restart();
    assert.equal(pass(1_000, 1_000), undefined);
  });
});
