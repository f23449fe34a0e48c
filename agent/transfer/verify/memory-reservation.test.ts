import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { MemoryReservation } from './memory-reservation.ts';
import { GRACE_MS, MIN_RATE } from './verify-body.ts';

/** A reservation of as many bytes as take two seconds at the minimum rate. */
function reserve(t: TestContext, { isWanted }: { isWanted: boolean }) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const state = { isWanted, freed: 0 };
  const reservation = new MemoryReservation({
    size: 2 * MIN_RATE,
    isWanted: () => state.isWanted,
    onFree: () => (state.freed += 1),
  });
  return { reservation, state, allowed: GRACE_MS + 2_000 };
}

describe('MemoryReservation', () => {
  it('gives up a client that takes longer than the minimum rate allows when others wait', (t) => {
    const { reservation, state, allowed } = reserve(t, { isWanted: true });
    t.mock.timers.tick(allowed - 1);
    assert.equal(reservation.overdue.aborted, false);
    t.mock.timers.tick(1);
    assert.equal(reservation.overdue.aborted, true);
    assert.equal(state.freed, 1);
  });

  it('lets a slow client go on until others wait for memory', (t) => {
    const { reservation, state, allowed } = reserve(t, { isWanted: false });
    t.mock.timers.tick(allowed);
    t.mock.timers.tick(60_000);
    assert.equal(reservation.overdue.aborted, false);
    state.isWanted = true;
    t.mock.timers.tick(250);
    assert.equal(reservation.overdue.aborted, true);
    assert.equal(state.freed, 1);
  });

  it('frees the memory once when the client has taken the bytes', (t) => {
    const { reservation, state, allowed } = reserve(t, { isWanted: true });
    reservation[Symbol.dispose]();
    reservation[Symbol.dispose]();
    assert.equal(state.freed, 1);
    t.mock.timers.tick(2 * allowed);
    assert.equal(reservation.overdue.aborted, false);
    assert.equal(state.freed, 1);
  });
});
