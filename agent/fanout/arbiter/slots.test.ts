import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf } from '../../testing/arbiter-fixture.ts';
import { MAX_FAN_OUT, MAX_LEVEL } from './bounds.ts';
import { MemberState } from './member-state.ts';
import { kindOf, Slots } from './slots.ts';

function stateOf(peerId: string, zone = ''): MemberState {
  return Object.assign(new MemberState(memberOf(peerId)), { zone });
}

describe('Slots', () => {
  it('visits members of these kinds by level, in both orders, and by zone', () => {
    const slots = new Slots();
    slots.put(stateOf('a', 'x'), 'leaf', 2);
    slots.put(stateOf('b'), 'roomy', 1);
    slots.put(stateOf('c', 'y'), 'leaf', 0);
    slots.put(stateOf('d'), 'one', 0);
    const visit = (...args: Parameters<Slots['visit']>): string =>
      [...slots.visit(...args)].map(({ peerId }) => peerId).join('');
    assert.equal(visit(['leaf', 'roomy'], 'shallowest', Infinity), 'cba');
    assert.equal(visit(['leaf', 'roomy'], 'deepest', Infinity), 'abc');
    assert.equal(visit(['leaf', 'roomy'], 'shallowest', 2), 'cb');
    assert.equal(visit(['leaf'], 'shallowest', Infinity, 'x'), 'a');
    assert.equal(visit(['leaf'], 'shallowest', Infinity, 'unknown'), '');
  });

  it('has a member in one place, also after its zone changed', () => {
    const slots = new Slots();
    const member = stateOf('a', 'x');
    slots.put(member, 'leaf', 2);
    member.zone = 'y';
    slots.put(member, 'one', 1);
    assert.deepEqual([...slots.visit(['leaf', 'one'], 'shallowest', Infinity)], [member]);
    assert.deepEqual([...slots.visit(['leaf', 'one'], 'shallowest', Infinity, 'x')], []);
    slots.remove(member);
    slots.remove(member);
    assert.deepEqual([...slots.visit(['leaf', 'one'], 'shallowest', Infinity)], []);
  });

  it('bounds the levels', () => {
    const slots = new Slots();
    const member = stateOf('a');
    slots.put(member, 'leaf', 1_000_000);
    assert.equal(member.place?.level, MAX_LEVEL);
    assert.deepEqual([...slots.visit(['leaf'], 'deepest', Infinity)], [member]);
  });
});

describe('kindOf', () => {
  it('is by children, and by what the member says of its room', () => {
    const kind = (expected: number, isRoomy = false): string | undefined =>
      kindOf(Object.assign(stateOf('a'), { expected, isRoomy }));
    assert.deepEqual(
      [0, 1, 2, 3, 4, 7].map((count) => kind(count)),
      ['leaf', 'one', 'few', 'few', 'many', 'many'],
    );
    assert.equal(kind(3, true), 'roomy');
    assert.equal(kind(MAX_FAN_OUT, true), undefined);
  });
});
