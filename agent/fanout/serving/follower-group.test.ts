import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Follower } from './follower.ts';
import { FollowerGroup } from './follower-group.ts';

const MIB = 1024 * 1024;

/** A group, and followers that came at 0; all but the first because there seemed to be room. */
function make(count: number): { readonly group: FollowerGroup; readonly members: Follower[] } {
  const group = new FollowerGroup();
  const progress = (): never => {
    throw new Error('not asked here');
  };
  const members = Array.from(
    { length: count },
    () => new Follower({ progress, onLeave: () => undefined }, { start: 0, end: 1_000 * MIB }),
  );
  for (const [index, member] of members.entries()) group.add(member, 0, index > 0);
  return { group, members };
}

/** Lets the download grow by 1 MiB each 50 ms, of which each follower takes its share. */
function grow(
  { group, members }: ReturnType<typeof make>,
  from: number,
  to: number,
  shares: readonly number[],
): (Follower | undefined)[] {
  const results: (Follower | undefined)[] = [];
  for (let at = from; at < to; at += 50) {
    for (const [index, share] of shares.entries()) members[index]?.handed(share * MIB);
    group.mark();
    results.push(group.check((at / 50) * MIB, at));
  }
  return results.filter((result) => result !== undefined);
}

describe('FollowerGroup', () => {
  it('keeps up when all have done so for 250 ms since the last one came', () => {
    const test = make(1);
    assert.ok(!test.group.keepsUp(1_000), 'not before it was looked at');
    grow(test, 50, 300, [1]);
    assert.ok(!test.group.keepsUp(299));
    assert.ok(test.group.keepsUp(300));
    const { members } = make(1);
    for (const member of members) {
      member.handed(5 * MIB);
      test.group.add(member, 300, true);
    }
    grow({ ...test, members: [...test.members, ...members] }, 300, 550, [1, 1]);
    assert.ok(!test.group.keepsUp(549));
    assert.ok(test.group.keepsUp(550));
  });

  it('ends the last that came while several fall behind, and then looks anew for 500 ms', () => {
    const test = make(3);
    const ended = grow(test, 50, 1_500, [0.4, 0.4, 1]);
    assert.deepEqual(ended, [test.members[2]]);
    assert.ok(!test.group.keepsUp(1_500));
  });

  it('ends none that came although there was no room: it has no better place', () => {
    const { group, members } = make(1);
    const [forced] = make(1).members;
    assert.ok(forced !== undefined);
    group.add(forced, 0, false);
    const all = [...members, forced];
    assert.deepEqual(grow({ group, members: all }, 50, 3_000, [0.4, 0.4]), []);
  });

  it('leaves one slow follower alone', () => {
    const test = make(3);
    assert.deepEqual(grow(test, 50, 3_000, [1, 0.1, 1]), []);
    assert.ok(test.members.every(({ ended }) => !ended.aborted));
  });

  it('leaves latecomers alone that gain on the download', () => {
    const test = make(2);
    grow(test, 50, 1_000, [0, 0]);
    assert.deepEqual(grow(test, 1_000, 1_500, [3, 3]), []);
  });

  it('ends those that have more than is there: the download has begun anew', () => {
    const test = make(2);
    test.group.check(8 * MIB, 0);
    test.members[0]?.handed(2 * MIB);
    test.members[1]?.handed(1 * MIB);
    test.group.mark();
    test.members[1]?.handed(1 * MIB);
    test.group.check(1 * MIB, 50);
    assert.match(String(test.members[0]?.ended.reason), /begun anew/);
    assert.ok(
      !test.members[1]?.ended.aborted,
      'what it has got since then may have arrived since then',
    );
  });

  it('forgets who has left', () => {
    const { group, members } = make(2);
    const [first] = members;
    assert.ok(first !== undefined);
    assert.ok(group.delete(first));
    assert.ok(!group.delete(first));
    assert.equal(group.size, 1);
    assert.deepEqual(group.members, members.slice(1));
  });
});
