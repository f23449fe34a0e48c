import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf, questionOf } from '../../testing/arbiter-fixture.ts';
import { ASSIGNED_MS, AVOID_MS, MAX_FAN_OUT, MAX_ZONE_LENGTH } from './bounds.ts';
import { MemberState } from './member-state.ts';

/** A member that follows another one since time 0. */
function followerOf(fields: Parameters<typeof questionOf>[0] = {}): MemberState {
  const member = new MemberState(memberOf('a'));
  member.renewMs = 1_000;
  member.hear(memberOf('a'), questionOf({ state: 'following', ...fields }), 0, 0);
  return member;
}

describe('MemberState', () => {
  it('takes a report that does not know of an assigned child as old, for a while', () => {
    const member = followerOf();
    member.expected = 1;
    member.assignedAt = 0;
    const report = questionOf({ state: 'following', children: 0 });
    member.hear(memberOf('a'), report, 0, ASSIGNED_MS);
    assert.equal(member.expected, 1);
    member.hear(memberOf('a'), report, 0, ASSIGNED_MS + 1);
    assert.equal(member.expected, 0);
  });

  it('believes at once that a child has gone that it had reported', () => {
    const member = followerOf();
    member.expected = 1;
    member.assignedAt = 0;
    member.hear(memberOf('a'), questionOf({ state: 'following', children: 1 }), 0, 1);
    member.hear(memberOf('a'), questionOf({ state: 'following', children: 0 }), 0, 2);
    assert.equal(member.expected, 0);
  });

  it('cannot serve when it is silent, full, closed, wrong or follows none', () => {
    assert.equal(followerOf().canServe(3_000), true);
    assert.equal(followerOf().canServe(3_001), false);
    assert.equal(followerOf({ children: MAX_FAN_OUT }).canServe(0), false);
    assert.equal(followerOf({ isRoomy: false }).canServe(0), false);
    assert.equal(followerOf({ isRoomy: false, children: 1 }).canServe(0), true);
    assert.equal(Object.assign(followerOf(), { wrongUntil: 1 }).canServe(0), false);
    assert.equal(followerOf({ state: 'wants' }).canServe(0), false);
  });

  it('is avoided once a child names it, until it is heard; after two, until it is roomy or a minute is over', () => {
    const member = followerOf();
    const [one, other] = [new MemberState(memberOf('b')), new MemberState(memberOf('c'))];
    member.nameFailed(one, 10);
    assert.equal(member.isAvoided(10), true);
    member.hear(
      memberOf('a'),
      questionOf({ state: 'following', children: 1, isRoomy: false }),
      0,
      11,
    );
    assert.equal(member.isAvoided(11), false);
    member.nameFailed(other, 12);
    member.hear(
      memberOf('a'),
      questionOf({ state: 'following', children: 1, isRoomy: false }),
      0,
      13,
    );
    assert.equal(member.isAvoided(13), true);
    assert.equal(member.isAvoided(13 + AVOID_MS), false);
    member.hear(memberOf('a'), questionOf({ state: 'following', children: 1 }), 0, 14);
    assert.equal(member.isAvoided(14), false);
  });

  it('bounds the zone', () => {
    assert.equal(followerOf({ zone: 'z'.repeat(1_000) }).zone.length, MAX_ZONE_LENGTH);
  });
});
