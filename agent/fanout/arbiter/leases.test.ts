import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf } from '../../testing/arbiter-fixture.ts';
import { FIRST_BYTE_MS, MAX_FIRST_GAP_MS, STALL_FACTOR, STALL_MS } from './bounds.ts';
import { Leases } from './leases.ts';
import { MemberState } from './member-state.ts';

/** A member with a lease from time 0 on. */
function fetcherOf(leases: Leases, offset = 0): MemberState {
  const member = new MemberState(memberOf('a'));
  member.offset = offset;
  leases.grant(member, 'first', 250, 0);
  return member;
}

/** The member reports so many bytes. */
function report(leases: Leases, member: MemberState, offset: number, now: number): void {
  [member.offset, member.heardAt] = [offset, now];
  leases.renew(member, 250, now);
}

/** Reports every 250 ms with these offsets, until this time. @returns when the lease ended */
function reportUntil(
  leases: Leases,
  member: MemberState,
  until: number,
  offset: (now: number) => number,
): number {
  for (let now = 250; now <= until; now += 250) {
    [member.offset, member.heardAt] = [offset(now), now];
    if (leases.sweep(now).length > 0) return now;
    leases.renew(member, 250, now);
  }
  return Infinity;
}

describe('Leases', () => {
  it('ends the lease of a fetcher that does not report for a second', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    assert.deepEqual(leases.sweep(1_000), []);
    assert.deepEqual(leases.sweep(1_001), [member]);
    assert.equal(leases.lostAt, 1_001);
  });

  it('lets it last for three more seconds while the member is heard about other digests', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    leases.prolong(() => 1_000);
    assert.deepEqual(leases.sweep(2_000), []);
    leases.prolong(() => 4_000);
    assert.deepEqual(leases.sweep(4_000), []);
    assert.deepEqual(leases.sweep(4_001), [member]);
    const silent = fetcherOf(leases);
    leases.prolong(() => -Infinity);
    assert.deepEqual(leases.sweep(1_001), [silent]);
  });

  it('does not take the time without a report of such a member for a stall', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    report(leases, member, 100, 200);
    report(leases, member, 200, 400);
    const lateBy = 3_000;
    leases.prolong(() => 400 + lateBy);
    assert.deepEqual(leases.sweep(400 + lateBy), []);
    // The report has come, with more bytes: leases are swept before it is taken.
    [member.offset, member.heardAt] = [300, 400 + lateBy];
    assert.deepEqual(leases.sweep(400 + lateBy), []);
    assert.equal(member.stalledAt, undefined);
  });

  it('ends the lease of such a member whose late report has no more bytes', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    report(leases, member, 100, 200);
    leases.prolong(() => 200 + STALL_MS + 1);
    member.heardAt = 200 + STALL_MS + 1;
    assert.deepEqual(leases.sweep(member.heardAt), [member]);
    assert.equal(member.stalledAt, 100);
  });

  it('ends it when the first byte takes too long, and not before', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases, 70);
    assert.equal(
      reportUntil(leases, member, 20_000, () => 70),
      FIRST_BYTE_MS + 250,
    );
    const quick = new Leases({ firstByteMs: 500 });
    assert.equal(
      reportUntil(quick, fetcherOf(quick), 20_000, () => 0),
      750,
    );
  });

  it('ends it when the offset stays the same after the first byte, unless all bytes are there', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    const offset = (now: number): number => Math.min(now, 1_000);
    assert.equal(reportUntil(leases, member, 20_000, offset), 1_000 + STALL_MS + 250);
    assert.equal(member.stalledAt, 1_000);
    const whole = new Leases({});
    const done = fetcherOf(whole);
    done.size = 1_000;
    assert.equal(reportUntil(whole, done, 20_000, offset), Infinity);
  });

  it('lets a fetcher be silent for three times as long as before: containerd writes in steps', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    // A step every two seconds, until it stops.
    const offset = (now: number): number => Math.min(Math.floor(now / 2_000), 3);
    assert.equal(reportUntil(leases, member, 20_000, offset), 6_000 + 3 * 2_000 + 250);
  });

  it('lets it be silent also where several steps come at once: containerd may fetch chunks at the same time', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    // Three chunks share a link for 2.5 s, and are written one just behind the other.
    const offset = (now: number): number => {
      const [rounds, rest] = [Math.floor(now / 2_500), (now % 2_500) / 250];
      return rounds === 0 ? 0 : 3 * (rounds - 1) + Math.min(rest + 1, 3);
    };
    assert.equal(reportUntil(leases, member, 20_000, offset), Infinity);
  });

  it('takes little of the first byte for that, which a registry may be slow with', () => {
    const leases = new Leases({});
    const member = fetcherOf(leases);
    const offset = (now: number): number => Math.max(0, Math.min(now, 9_000) - 8_000);
    const ended = reportUntil(leases, member, 60_000, offset);
    assert.equal(ended, 9_000 + STALL_FACTOR * MAX_FIRST_GAP_MS + 250);
  });

  it('counts failures of the last minute, and successes not', () => {
    const leases = new Leases({});
    for (const now of [0, 10, 20]) {
      leases.release(fetcherOf(leases));
      assert.equal(leases.isExhausted(now), false);
      leases.fail(fetcherOf(leases), now);
    }
    assert.equal(leases.isExhausted(60_000), true);
    assert.equal(leases.isExhausted(60_001), false);
  });
});
