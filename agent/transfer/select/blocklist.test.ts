import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { quiet } from '../../testing/quiet.ts';
import { Blocklist } from './blocklist.ts';

const HOUR = 3_600_000;

suite('bans', () => {
  const liar = { peerId: 'liar', origins: ['http://192.0.2.1:5000'] };

  function makeBans(): {
    bans: Blocklist;
    after: (ms: number) => void;
    offences: () => Promise<number>;
  } {
    let now = 0;
    const metrics = createMetrics();
    return {
      bans: new Blocklist({ metrics, logger: quiet }, () => now),
      after: (ms) => (now += ms),
      offences: async () => {
        const { values } = await metrics.peerOffences.get();
        return values.find(({ labels }) => labels.peer === 'liar')?.value ?? 0;
      },
    };
  }

  test('an offence bans for its key alone, for some hours', async () => {
    const { bans, after, offences } = makeBans();
    bans.offence(liar, 'one', 'held-back');
    assert.ok(bans.has('liar', 'one'));
    assert.ok(!bans.has('liar', 'two') && !bans.has('other', 'one'));
    assert.deepEqual(bans.count(), { everything: 0, keys: 1 });
    assert.equal(await offences(), 1);
    after(7 * HOUR);
    assert.ok(!bans.has('liar', 'one'));
    assert.deepEqual(bans.status(), []);
  });

  test('the third bans for everything, for an hour, and is remembered beyond that', () => {
    const { bans, after } = makeBans();
    for (const key of ['one', 'two', 'three']) {
      assert.ok(!bans.has('liar', 'else'));
      bans.offence(liar, key, 'passed-on');
    }
    assert.ok(bans.has('liar', 'else'));
    const status = { ...liar, offences: 3, keys: 3, forEverything: true };
    assert.deepEqual(bans.status(), [status]);
    after(1.5 * HOUR);
    assert.ok(!bans.has('liar', 'else') && bans.has('liar', 'three'));
    bans.offence(liar, 'four', 'passed-on');
    assert.ok(bans.has('liar', 'else'), 'once more is enough');
    after(25 * HOUR);
    bans.offence(liar, 'five', 'passed-on');
    assert.ok(!bans.has('liar', 'else'), 'what was long ago does not count');
  });

  test('a suspect is not asked until it is cleared, and has no offence', async () => {
    const { bans, offences } = makeBans();
    bans.suspect(liar, 'one');
    assert.ok(bans.has('liar', 'one') && !bans.has('liar', 'two'));
    bans.clear(liar, 'one');
    assert.ok(!bans.has('liar', 'one'));
    assert.equal(await offences(), 0);
    assert.deepEqual(bans.count(), { everything: 0, keys: 0 });
  });

  test('peers and keys are bounded', () => {
    const { bans } = makeBans();
    for (let key = 0; key < 150; key++) bans.suspect(liar, `key ${key}`);
    assert.ok(!bans.has('liar', 'key 0') && bans.has('liar', 'key 149'));
    for (let peer = 0; peer < 1_000; peer++) {
      bans.suspect({ peerId: `peer ${peer}`, origins: [] }, 'key');
    }
    assert.ok(!bans.has('liar', 'key 149') && bans.has('peer 0', 'key'));
    assert.equal(bans.count().keys, 1_000);
    assert.equal(bans.status().length, 50);
  });
});
