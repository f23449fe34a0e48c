import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { FailedPeers } from './failed-peers.ts';

const digestOf = (at: number): Digest => `sha256:${String(at).padStart(64, '0')}` as Digest;
const [A, B] = [digestOf(1), digestOf(2)];

let now: number;
let failed: FailedPeers;

describe('FailedPeers', () => {
  beforeEach(() => {
    now = 0;
    failed = new FailedPeers(() => now);
  });

  it('names the peers that have failed for a digest, the latest first, each once', () => {
    for (const peerId of ['a', 'b', 'a', 'c']) failed.add(A, peerId);
    failed.add(B, 'd');
    assert.deepEqual(failed.of(A), ['c', 'a', 'b']);
    assert.deepEqual(failed.of(B), ['d']);
    assert.deepEqual(failed.of(digestOf(3)), []);
  });

  it('forgets each after its time', () => {
    failed.add(A, 'a');
    now = 10_000;
    failed.add(A, 'b');
    now = 15_001;
    assert.deepEqual(failed.of(A), ['b']);
    now = 25_001;
    assert.deepEqual(failed.of(A), []);
  });

  it('remembers a bounded number of peers and of digests', () => {
    for (let at = 0; at < 100; at++) failed.add(A, String(at));
    assert.deepEqual(failed.of(A), ['99', '98', '97', '96', '95', '94', '93', '92']);
    for (let at = 10; at < 1010; at++) failed.add(digestOf(at), 'a');
    assert.deepEqual(failed.of(A), []);
  });

  it('name a peer that is silent, and do not count that as a failure', () => {
    for (let times = 0; times < 5; times++) failed.silent(A, 'a');
    assert.deepEqual(failed.of(A), ['a']);
    failed.add(A, 'a');
    failed.silent(A, 'a');
    assert.equal(failed.isOut(A, 'a'), false);
    failed.add(A, 'a');
    assert.equal(failed.isOut(A, 'a'), true);
    now = 15_001;
    assert.deepEqual(failed.of(A), []);
  });

  it('have a peer left out that has failed twice', () => {
    let now = 0;
    const failed = new FailedPeers(() => now);
    failed.add(A, 'a');
    assert.equal(failed.isOut(A, 'a'), false);
    failed.add(A, 'a');
    assert.deepEqual([failed.isOut(A, 'a'), failed.isOut(A, 'b')], [true, false]);
    now = 15_000;
    assert.equal(failed.isOut(A, 'a'), false);
  });
});
