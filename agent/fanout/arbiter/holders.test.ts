import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf } from '../../testing/arbiter-fixture.ts';
import { HOLDER_FAN_OUT, HOLDER_MS, LARGE_BYTES, MAX_HOLDERS_NAMED } from './bounds.ts';
import { Holders } from './holders.ts';
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

  it('names a holder first only so often in a while, unless any will do', () => {
    for (const [size, times] of [
      [1, HOLDER_FAN_OUT.small],
      [LARGE_BYTES, HOLDER_FAN_OUT.large],
    ] as const) {
      const holders = new Holders();
      holders.add(stateOf('h', { size }));
      for (let index = 0; index < times; index += 1)
        assert.equal(holders.name(stateOf('a'), NONE, 0).length, 1);
      assert.equal(holders.name(stateOf('a'), NONE, 0).length, 0);
      assert.equal(holders.name(stateOf('a'), NONE, 0, true).length, 1);
      assert.equal(holders.name(stateOf('a'), NONE, 1_001).length, 1);
    }
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
