import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PeerScores } from './peer-score.ts';
import type { PeerReport } from '../client/peer-report.ts';

function report(uploads: number, max = 100): PeerReport {
  return { load: { uploads, max }, alternatives: [], retryLater: false };
}

describe('PeerProfiles', () => {
  it('adds what we have begun to what the peer said, and takes off what has ended', () => {
    const profiles = new PeerScores();
    profiles.begins('a');
    profiles.reported('a', report(10));
    assert.equal(profiles.load('a'), 10);
    profiles.begins('a');
    profiles.begins('a');
    assert.equal(profiles.load('a'), 12);
    for (let request = 0; request < 3; request++) profiles.ends('a');
    assert.equal(profiles.load('a'), 9);
  });

  it('believes a load for five seconds, and then counts our own requests alone', () => {
    let now = 0;
    const profiles = new PeerScores({ now: () => now });
    profiles.begins('a');
    profiles.reported('a', report(10));
    now = 5_001;
    assert.equal(profiles.load('a'), 1);
    assert.equal(profiles.load('b'), 0);
  });

  it('leaves a full or busy peer to others for a quarter of a second', () => {
    let now = 0;
    const profiles = new PeerScores({ now: () => now });
    profiles.reported('full', report(4, 4));
    profiles.refused('busy');
    profiles.reported('free', report(3, 4));
    assert.deepEqual(
      ['full', 'busy', 'free', 'stranger'].map((it) => profiles.isBusy(it)),
      [true, true, false, false],
    );
    now = 250;
    assert.ok(!profiles.isBusy('full') && !profiles.isBusy('busy'));
    profiles.refused('busy');
    profiles.reported('busy', report(3, 4));
    assert.ok(!profiles.isBusy('busy'), 'it has said that it has room again');
  });

  it('knows who is near, once a peer has said its zone', () => {
    const zoned = new PeerScores({ zone: 'a' });
    const unzoned = new PeerScores();
    for (const profiles of [zoned, unzoned]) {
      profiles.reported('near', { zone: 'a', alternatives: [], retryLater: false });
      profiles.reported('far', { zone: 'b', alternatives: [], retryLater: false });
      profiles.reported('near', report(1));
    }
    const peers = ['near', 'far', 'stranger'];
    assert.deepEqual(
      peers.map((it) => zoned.nearness(it)),
      ['same', 'other', 'unknown'],
    );
    assert.deepEqual(
      peers.map((it) => unzoned.nearness(it)),
      ['unknown', 'unknown', 'unknown'],
    );
  });

  it('follows the throughput of large bodies', () => {
    const profiles = new PeerScores();
    profiles.delivered('a', 1_000, 1);
    assert.equal(profiles.throughput('a'), undefined);
    profiles.delivered('a', 1_000_000, 1_000);
    assert.equal(profiles.throughput('a'), 1_000_000);
    for (let body = 0; body < 30; body++) profiles.delivered('a', 1_000_000, 100);
    assert.equal(Math.round((profiles.throughput('a') ?? 0) / 1e6), 10);
  });

  it('forgets the peer that was heard of longest ago when it knows too many', () => {
    const profiles = new PeerScores();
    profiles.refused('first');
    for (let peer = 0; peer < 4_999; peer++) profiles.refused(`${peer}`);
    assert.ok(profiles.isBusy('first'));
    profiles.refused('one more');
    assert.ok(!profiles.isBusy('first') && profiles.isBusy('0'));
  });
});
