import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { quiet } from '../../testing/quiet.ts';
import { Blocklist } from './blocklist.ts';
import { PeerRecords } from './peer-records.ts';

const HOUR = 3_600_000;

describe('Blocklist', () => {
  const liar = { peerId: 'liar', origins: ['http://192.0.2.1:5000'] };

  function makeBlocklist(): {
    blocklist: Blocklist;
    after: (ms: number) => void;
    mismatches: () => Promise<number>;
  } {
    let now = 0;
    const metrics = createMetrics();
    const records = new PeerRecords();
    return {
      blocklist: new Blocklist({ records, metrics, logger: quiet }, () => now),
      after: (ms) => (now += ms),
      mismatches: async () => {
        const { values } = await metrics.digestMismatches.get();
        return values.find(({ labels }) => labels.peer === 'liar')?.value ?? 0;
      },
    };
  }

  it('blocks a peer for the key of a digest mismatch alone, for some hours', async () => {
    const { blocklist, after, mismatches } = makeBlocklist();
    blocklist.mismatched(liar, 'one', 'held-back');
    assert.ok(blocklist.has('liar', 'one'));
    assert.ok(!blocklist.has('liar', 'two') && !blocklist.has('other', 'one'));
    assert.deepEqual(blocklist.count(), { everything: 0, keys: 1 });
    assert.equal(await mismatches(), 1);
    after(7 * HOUR);
    assert.ok(!blocklist.has('liar', 'one'));
    assert.deepEqual(blocklist.status(), []);
  });

  it('blocks a peer for every key for an hour at the third mismatch, and at the next within a day', () => {
    const { blocklist, after } = makeBlocklist();
    for (const key of ['one', 'two', 'three']) {
      assert.ok(!blocklist.has('liar', 'else'));
      blocklist.mismatched(liar, key, 'passed-on');
    }
    assert.ok(blocklist.has('liar', 'else'));
    const status = { ...liar, offences: 3, keys: 3, forEverything: true };
    assert.deepEqual(blocklist.status(), [status]);
    after(1.5 * HOUR);
    assert.ok(!blocklist.has('liar', 'else') && blocklist.has('liar', 'three'));
    blocklist.mismatched(liar, 'four', 'passed-on');
    assert.ok(blocklist.has('liar', 'else'), 'one more is enough');
    after(25 * HOUR);
    blocklist.mismatched(liar, 'five', 'passed-on');
    assert.ok(!blocklist.has('liar', 'else'), 'mismatches of the day before do not count');
  });

  it('blocks an unverified peer until it is verified, and counts no mismatch', async () => {
    const { blocklist, mismatches } = makeBlocklist();
    blocklist.unverified(liar, 'one');
    assert.ok(blocklist.has('liar', 'one') && !blocklist.has('liar', 'two'));
    blocklist.verified(liar, 'one');
    assert.ok(!blocklist.has('liar', 'one'));
    assert.equal(await mismatches(), 0);
    assert.deepEqual(blocklist.count(), { everything: 0, keys: 0 });
  });

  it('blocks an unverified peer for an hour at most', () => {
    const { blocklist, after } = makeBlocklist();
    blocklist.unverified(liar, 'one');
    after(HOUR - 1);
    assert.ok(blocklist.has('liar', 'one'));
    after(1);
    assert.ok(!blocklist.has('liar', 'one'));
  });

  it('bounds peers and keys', () => {
    const { blocklist } = makeBlocklist();
    for (let key = 0; key < 150; key++) blocklist.unverified(liar, `key ${key}`);
    assert.ok(!blocklist.has('liar', 'key 0') && blocklist.has('liar', 'key 149'));
    for (let peer = 0; peer < 1_000; peer++) {
      blocklist.unverified({ peerId: `peer ${peer}`, origins: [] }, 'key');
    }
    assert.ok(!blocklist.has('liar', 'key 149') && blocklist.has('peer 0', 'key'));
    assert.equal(blocklist.count().keys, 1_000);
    assert.equal(blocklist.status().length, 50);
  });
});
