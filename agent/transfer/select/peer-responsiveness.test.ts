import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PeerResponsiveness } from './peer-responsiveness.ts';

describe('PeerStanding', () => {
  it('doubts a silent peer for a while, and not after it has answered', () => {
    let now = 0;
    const standing = new PeerResponsiveness(() => now);
    standing.silent('a');
    standing.silent('b');
    standing.answered('b', 'key', true);
    assert.ok(standing.isDoubtful('a', 'key'));
    assert.ok(!standing.isDoubtful('b', 'key'));
    assert.ok(!standing.isDoubtful('c', 'key'));
    now = 59_999;
    assert.ok(standing.isDoubtful('a', 'key'));
    now = 60_000;
    assert.ok(!standing.isDoubtful('a', 'key'));
  });

  it('tells a late peer from a silent one', () => {
    let now = 0;
    const standing = new PeerResponsiveness(() => now);
    standing.late('a');
    assert.ok(standing.isDoubtful('a', 'key'));
    assert.equal(standing.silences('a'), 0);
    standing.silent('a');
    now = 1_000;
    standing.silent('a');
    assert.ok(standing.isDoubtful('a', 'key'));
    assert.equal(standing.silences('a'), 2);
    standing.late('a');
    assert.equal(standing.silences('a'), 2, 'it goes on being silent');
    standing.answered('a', 'key', true);
    assert.equal(standing.silences('a'), 0);
  });

  it('counts once what many requests find at the same time', () => {
    const standing = new PeerResponsiveness(() => 0);
    for (let request = 0; request < 20; request++) standing.silent('a');
    assert.equal(standing.silences('a'), 1);
  });

  it('gives a peer that was silent again and again a chance every ten seconds', () => {
    let now = 0;
    const standing = new PeerResponsiveness(() => now);
    for (; now < 5_000; now += 1_000) standing.silent('a');
    assert.equal(standing.silences('a'), 5);
    now = 10_000;
    assert.deepEqual([standing.silences('a'), standing.silences('a')], [1, 5]);
    standing.silent('a');
    assert.equal(standing.silences('a'), 6);
    now = 20_000;
    assert.equal(standing.silences('a'), 1);
  });

  it('doubts a peer for the key alone that it did not have, until it has it', () => {
    const standing = new PeerResponsiveness(() => 0);
    standing.answered('a', 'key', false);
    assert.ok(standing.isDoubtful('a', 'key'));
    assert.ok(!standing.isDoubtful('a', 'another'));
    standing.answered('a', 'key', true);
    assert.ok(!standing.isDoubtful('a', 'key'));
  });

  it('doubts a peer for the key alone that it did not deliver well, for ten seconds', () => {
    let now = 0;
    const standing = new PeerResponsiveness(() => now);
    standing.answered('a', 'key', true);
    standing.failed('a', 'key');
    assert.ok(standing.isDoubtful('a', 'key'));
    assert.ok(!standing.isDoubtful('a', 'another'));
    now = 10_000;
    assert.ok(!standing.isDoubtful('a', 'key'));
  });

  it('doubts a peer that nothing is known about while it is being asked', () => {
    const standing = new PeerResponsiveness(() => 0);
    standing.asking('a');
    standing.asking('a');
    standing.asked('a');
    assert.ok(standing.isDoubtful('a', 'key'));
    standing.answered('a', 'another', true);
    assert.ok(!standing.isDoubtful('a', 'key'), 'it has answered');
    standing.asking('b');
    standing.asked('b');
    assert.ok(!standing.isDoubtful('b', 'key'), 'it is not being asked');
  });

  it('forgets the oldest when it has too much to remember', () => {
    const standing = new PeerResponsiveness(() => 0);
    for (let index = 0; index < 10_000; index++) standing.silent(`${index}`);
    standing.silent('0');
    standing.silent('one more');
    const doubtful = ['0', '1', 'one more'].map((peerId) => standing.isDoubtful(peerId, 'key'));
    assert.deepEqual(doubtful, [true, false, true]);
  });
});
