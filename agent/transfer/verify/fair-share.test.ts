import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FairShare } from './fair-share.ts';

/** How often the amount can be taken for the groups. */
function takes(share: FairShare, amount: number, groups: readonly string[]): number {
  let times = 0;
  while (share.tryTake(amount, groups)) times += 1;
  return times;
}

describe('FairShare', () => {
  it('lets one group take half, and leaves something for each group that comes later', () => {
    const share = new FairShare(120);
    assert.equal(takes(share, 1, ['a']), 60);
    assert.equal(takes(share, 1, ['b']), 30);
    assert.equal(takes(share, 1, ['c']), 15);
    assert.equal(takes(share, 1, ['a']), 0);
  });

  it('counts a request for all of its groups', () => {
    const share = new FairShare(120);
    assert.equal(takes(share, 1, ['image', 'peer']), 60);
    assert.equal(takes(share, 1, ['other image', 'peer']), 0);
    assert.ok(share.tryTake(1, ['other image', 'other peer']));
  });

  it('grants more than half only while nothing is in use', () => {
    const share = new FairShare(100);
    assert.ok(share.tryTake(1, ['a']));
    assert.ok(!share.tryTake(80, ['b']));
    share.release(1, ['a']);
    assert.ok(share.tryTake(100, ['b']));
    assert.ok(!share.tryTake(1, ['c']));
    share.release(100, ['b']);
    assert.ok(!share.tryTake(101, ['b']));
  });

  it('lets a group take again what it released', () => {
    const share = new FairShare(100);
    assert.ok(share.tryTake(50, ['a']));
    assert.ok(!share.tryTake(50, ['a']));
    share.release(50, ['a']);
    assert.ok(share.tryTake(50, ['a']));
  });
});
