import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf } from '../../testing/arbiter-fixture.ts';
import { Front } from './front.ts';
import { MemberState } from './member-state.ts';

function stateOf(peerId: string, offset: number): MemberState {
  return Object.assign(new MemberState(memberOf(peerId)), {
    offset,
    canFetch: true,
    renewMs: 1_000,
  });
}

describe('Front', () => {
  it('is the member with most bytes, and another one when that has fewer, fails or is silent', () => {
    const members = ['a', 'b', 'c'].map((id, index) => stateOf(id, 10 * index));
    const front = new Front(new Map(members.map((member) => [member.peerId, member])));
    const [a, b, c] = members as [MemberState, MemberState, MemberState];
    for (const member of members) front.hear(member, 0);
    assert.equal(front.offset, 20);
    assert.equal(front.isAheadOf(b, 0), true);
    assert.equal(front.isAheadOf(c, 0), false);
    c.offset = 5;
    front.hear(c, 0);
    assert.equal(front.offset, 10);
    b.state = 'failed';
    assert.equal(front.isAheadOf(a, 0), false);
    front.find(0);
    assert.equal(front.offset, 5);
    a.heardAt = 5_000;
    front.hear(a, 5_000);
    assert.equal(front.offset, 0, 'c is silent');
  });

  it('is not ahead with a member that cannot fetch', () => {
    const member = Object.assign(stateOf('a', 10), { canFetch: false });
    const front = new Front(new Map([['a', member]]));
    front.hear(member, 0);
    assert.equal(front.isAheadOf(stateOf('b', 0), 0), false);
  });
});
