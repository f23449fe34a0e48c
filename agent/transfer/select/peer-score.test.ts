import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { PeerReport } from '../client/peer-report.ts';
import { PeerScore } from './peer-score.ts';

function report(uploads: number, max = 100): PeerReport {
  return { load: { uploads, max }, alternatives: [], retryLater: false };
}

function inZone(zone: string): PeerReport {
  return { zone, alternatives: [], retryLater: false };
}

describe('PeerScore', () => {
  it('adds the requests that began after the report to its load, and subtracts those that ended', () => {
    const score = new PeerScore();
    score.requestBegins();
    score.reported(report(10), 0);
    assert.equal(score.load(0), 10);
    score.requestBegins();
    score.requestBegins();
    assert.equal(score.load(0), 12);
    for (let request = 0; request < 3; request++) score.requestEnds();
    assert.equal(score.load(0), 9);
  });

  it('uses a reported load for five seconds, and then counts the own requests alone', () => {
    const score = new PeerScore();
    score.requestBegins();
    score.reported(report(10), 0);
    assert.equal(score.load(5_000), 10);
    assert.equal(score.load(5_001), 1);
    assert.equal(new PeerScore().load(0), 0);
  });

  it('counts a full or refusing peer as busy for a quarter of a second', () => {
    const [full, refusing, free, unknown] = [1, 2, 3, 4].map(() => new PeerScore());
    full?.reported(report(4, 4), 0);
    refusing?.refused(0);
    free?.reported(report(3, 4), 0);
    const busyAt = (now: number): unknown[] =>
      [full, refusing, free, unknown].map((it) => it?.isBusy(now));
    assert.deepEqual(busyAt(249), [true, true, false, false]);
    assert.deepEqual(busyAt(250), [false, false, false, false]);
    refusing?.refused(250);
    refusing?.reported(report(3, 4), 250);
    assert.equal(refusing?.isBusy(250), false, 'it has reported a free upload');
  });

  it('knows whether a peer is near once the peer has reported its zone', () => {
    const [near, far, unknown] = [new PeerScore(), new PeerScore(), new PeerScore()];
    near.reported(inZone('a'), 0);
    far.reported(inZone('b'), 0);
    near.reported(report(1), 0);
    const nearness = (zone: string): string[] =>
      [near, far, unknown].map((it) => it.nearness(zone));
    assert.deepEqual(nearness('a'), ['same', 'other', 'unknown']);
    assert.deepEqual(nearness(''), ['unknown', 'unknown', 'unknown']);
  });

  it('counts a small body when this node waited long for it', () => {
    const score = new PeerScore();
    score.delivered(20_000, 2_000, 0);
    assert.equal(score.throughput, 10_000);
  });

  it('sets the throughput of a slow peer whatever was measured before', () => {
    const score = new PeerScore();
    score.delivered(100_000_000, 1_000, 0);
    score.measured(7_000, 1);
    assert.equal(score.throughput, 7_000);
  });

  it('compares a throughput for ten minutes', () => {
    const score = new PeerScore();
    score.measured(7_000, 1_000);
    assert.equal(score.recentThroughput(601_000), 7_000);
    assert.equal(score.recentThroughput(601_001), undefined);
  });

  it('follows the throughput of large bodies', () => {
    const score = new PeerScore();
    score.delivered(1_000, 1, 0);
    assert.equal(score.throughput, undefined);
    score.delivered(1_000_000, 1_000, 0);
    assert.equal(score.throughput, 1_000_000);
    for (let body = 0; body < 30; body++) score.delivered(1_000_000, 100, 0);
    assert.equal(Math.round(score.throughput / 1e6), 10);
  });
});
