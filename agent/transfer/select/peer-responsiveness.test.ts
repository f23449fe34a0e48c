import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PeerResponsiveness } from './peer-responsiveness.ts';

describe('PeerResponsiveness', () => {
  it('doubts a silent peer for a minute, and not after it has answered', () => {
    const [silent, answered, unknown] = [1, 2, 3].map(() => new PeerResponsiveness());
    silent?.silent(0);
    answered?.silent(0);
    answered?.answered('key', true, 0);
    assert.deepEqual(
      [silent, answered, unknown].map((it) => it?.isDoubtful('key', 0)),
      [true, false, false],
    );
    assert.equal(silent?.isDoubtful('key', 59_999), true);
    assert.equal(silent.isDoubtful('key', 60_000), false);
  });

  it('distinguishes a late peer from a silent one', () => {
    const peer = new PeerResponsiveness();
    peer.late(0);
    assert.equal(peer.isDoubtful('key', 0), true);
    assert.equal(peer.takeSilences(0), 0);
    peer.silent(0);
    peer.silent(1_000);
    assert.equal(peer.isDoubtful('key', 1_000), true);
    assert.equal(peer.takeSilences(1_000), 2);
    peer.late(1_000);
    assert.equal(peer.takeSilences(1_000), 2, 'it is still silent');
    peer.answered('key', true, 1_000);
    assert.equal(peer.takeSilences(1_000), 0);
  });

  it('doubts a late peer for ten seconds', () => {
    const peer = new PeerResponsiveness();
    peer.late(0);
    assert.equal(peer.isDoubtful('key', 9_999), true);
    assert.equal(peer.isDoubtful('key', 10_000), false);
  });

  it('counts a silence once that many requests find at the same time', () => {
    const peer = new PeerResponsiveness();
    for (let request = 0; request < 20; request++) peer.silent(0);
    assert.equal(peer.takeSilences(0), 1);
  });

  it('gives a peer that was silent repeatedly the whole timeout every ten seconds', () => {
    const peer = new PeerResponsiveness();
    for (let now = 0; now < 5_000; now += 1_000) peer.silent(now);
    assert.equal(peer.takeSilences(5_000), 5);
    assert.deepEqual([peer.takeSilences(10_000), peer.takeSilences(10_000)], [1, 5]);
    peer.silent(10_000);
    assert.equal(peer.takeSilences(10_000), 6);
    assert.equal(peer.takeSilences(20_000), 1);
  });

  it('doubts a peer only for the key that it did not hold, until it holds it', () => {
    const peer = new PeerResponsiveness();
    peer.answered('key', false, 0);
    assert.equal(peer.isDoubtful('key', 0), true);
    assert.equal(peer.isDoubtful('another', 0), false);
    peer.answered('key', true, 0);
    assert.equal(peer.isDoubtful('key', 0), false);
  });

  it('doubts a peer only for the key that it did not deliver, for ten seconds', () => {
    const peer = new PeerResponsiveness();
    peer.answered('key', true, 0);
    peer.failed('key', 0);
    assert.equal(peer.isDoubtful('key', 0), true);
    assert.equal(peer.isDoubtful('another', 0), false);
    assert.equal(peer.isDoubtful('key', 10_000), false);
  });

  it('doubts an unknown peer while another request waits for its answer', () => {
    const peer = new PeerResponsiveness();
    peer.startsWaiting();
    peer.startsWaiting();
    peer.stopsWaiting();
    assert.equal(peer.isDoubtful('key', 0), true);
    peer.answered('another', true, 0);
    assert.equal(peer.isDoubtful('key', 0), false, 'it has answered');
    const other = new PeerResponsiveness();
    other.startsWaiting();
    other.stopsWaiting();
    assert.equal(other.isDoubtful('key', 0), false, 'no request waits for it');
  });

  it('remembers 100 doubtful keys, and drops those that have expired', () => {
    const peer = new PeerResponsiveness();
    for (let key = 0; key < 101; key++) peer.failed(`${key}`, 0);
    assert.equal(peer.doubtfulKeys, 100);
    assert.deepEqual(
      ['0', '1', '100'].map((key) => peer.isDoubtful(key, 0)),
      [false, true, true],
    );
    peer.failed('later', 10_000);
    assert.equal(peer.doubtfulKeys, 1);
  });
});
