import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf } from '../../testing/arbiter-fixture.ts';
import { HOLDER_FAN_OUT, HOLDER_MS, LARGE_BYTES, MAX_HOLDERS_NAMED } from './bounds.ts';
import { Holders, type HolderKind } from './holders.ts';
import { MemberState } from './member-state.ts';

const NONE: ReadonlySet<string> = new Set();

function stateOf(
  peerId: string,
  fields: Partial<Pick<MemberState, 'zone' | 'size'>> = {},
): MemberState {
  return Object.assign(new MemberState(memberOf(peerId)), fields);
}

describe('Holders', () => {
  it('names different ones to askers in turn', () => {
    const holders = new Holders();
    for (let index = 0; index < 12; index += 1) holders.add(stateOf(`h${index}`));
    const firsts = Array.from({ length: 3 }, () => holders.name(stateOf('a'), NONE, 0));
    assert.ok(firsts.every((named) => named.length === MAX_HOLDERS_NAMED));
    assert.equal(new Set(firsts.flat()).size, 12);
  });

  it('forgets those that were not heard for half a minute, and those that were wrong', () => {
    const holders = new Holders();
    const wrong = Object.assign(stateOf('wrong'), { wrongUntil: 100 });
    holders.add(wrong);
    assert.deepEqual(holders.name(stateOf('a'), NONE, 0), []);
    holders.add(stateOf('h'));
    assert.deepEqual(holders.name(stateOf('a'), NONE, HOLDER_MS + 1), []);
    assert.equal(holders.size, 0);
  });

  it('names a holder of small content first only so often in a while, unless any will do', () => {
    const holders = new Holders();
    holders.add(stateOf('h', { size: 1 }));
    for (let index = 0; index < HOLDER_FAN_OUT.small; index += 1)
      assert.equal(holders.name(stateOf('a'), NONE, 0).length, 1);
    assert.equal(holders.name(stateOf('a'), NONE, 0).length, 0);
    assert.equal(holders.name(stateOf('a'), NONE, 0, 'any').length, 1);
    assert.equal(holders.name(stateOf('a'), NONE, 1_001).length, 1);
  });

  it('names a holder of large content first while no other receives it there, unless any will do', () => {
    const holders = new Holders();
    const [holder, child] = [stateOf('h', { size: LARGE_BYTES }), stateOf('c')];
    holders.add(holder);
    assert.equal(holders.name(stateOf('a'), NONE, 0).length, 1);
    Object.assign(child, { heardAt: 0, renewMs: 1_000 });
    holder.children.add(child);
    assert.equal(holders.name(stateOf('a'), NONE, 3_000).length, 0);
    assert.equal(holders.name(stateOf('a'), NONE, 3_000, 'any').length, 1);
    assert.equal(holders.name(stateOf('a'), NONE, 3_001).length, 1, 'it is silent');
  });

  it('names a holder of large content that was followed only where it is to be idle', () => {
    const holders = new Holders();
    for (const [id, size, wasFollowed] of [
      ['parent', LARGE_BYTES, true],
      ['leaf', LARGE_BYTES, false],
      ['small', 1, true],
    ] as const)
      holders.add(Object.assign(stateOf(id, { size }), { wasFollowed }));
    const named = (kind?: HolderKind) =>
      holders
        .name(stateOf('a'), NONE, 0, kind)
        .map(({ peerId }) => peerId)
        .toSorted();
    assert.deepEqual(named(), ['leaf', 'small']);
    assert.deepEqual(named('idle'), ['leaf', 'parent', 'small']);
  });

  it('keeps a holder that has changed its zone once', () => {
    const holders = new Holders();
    const holder = stateOf('h', { zone: 'x' });
    holders.add(holder);
    holder.zone = 'y';
    holders.add(holder);
    assert.equal(holders.size, 1);
    holders.remove(holder);
    assert.deepEqual(holders.name(stateOf('a', { zone: 'x' }), NONE, 0), []);
    assert.equal(holders.size, 0);
  });
});
