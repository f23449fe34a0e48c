import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AttemptSlots } from './attempt-slots.ts';
import { RaceAttempts, type Attempt } from './race-attempts.ts';

function begin(running: RaceAttempts, fields: Partial<Attempt> = {}): Attempt {
  const permit = running.acquire();
  assert.ok(permit !== undefined);
  const attempt: Attempt = {
    provider: { peerId: 'a', origins: [] },
    purpose: 'probe',
    cause: 'regular',
    permit,
    cancel: new AbortController(),
    phase: 'awaited',
    ...fields,
  };
  running.begin(attempt);
  return attempt;
}

describe('RaceAttempts', () => {
  it('takes a shared slot for each attempt but the first, and releases it once', () => {
    const slots = new AttemptSlots(1);
    const running = new RaceAttempts(slots);
    const first = begin(running);
    const second = begin(running);
    assert.deepEqual([first.permit, second.permit], ['own', 'shared-slot']);
    assert.equal(running.acquire(), undefined);
    running.end(second);
    running.end(second);
    assert.equal(second.phase, 'ended');
    assert.ok(slots.tryAcquire() && !slots.tryAcquire(), 'one slot, not two');
  });

  it('runs 128 attempts at once', () => {
    const running = new RaceAttempts(new AttemptSlots());
    for (let attempt = 0; attempt < 128; attempt++) begin(running);
    assert.equal(running.acquire(), undefined);
    assert.equal(running.size, 128);
  });

  it('asks no other peer while the race waits for the content, and three at once when they are late', () => {
    const running = new RaceAttempts(new AttemptSlots());
    const first = begin(running, { purpose: 'content' });
    assert.ok(!running.mayAsk(false));
    first.phase = 'late';
    assert.ok(running.mayAsk(false) && running.mayAsk(true));
    begin(running, { purpose: 'content', phase: 'late' });
    begin(running, { purpose: 'content', phase: 'late' });
    assert.ok(running.mayAsk(false), 'probes cost a holder almost nothing');
    assert.ok(!running.mayAsk(true));
  });

  it('cancels all attempts, and returns them', () => {
    const slots = new AttemptSlots(1);
    const running = new RaceAttempts(slots);
    const attempts = [begin(running), begin(running, { phase: 'late' })];
    assert.equal(running.inPhase('late').length, 1);
    assert.deepEqual(running.cancelAll(), attempts);
    assert.ok(attempts.every(({ cancel }) => cancel.signal.aborted));
    assert.equal(running.size, 0);
    assert.ok(slots.tryAcquire());
  });
});
