import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MAX_DIGESTS_OF_PEER } from './bounds.ts';
import { Load } from './load.ts';

describe('Load', () => {
  it('bounds the digests of one peer', () => {
    const load = new Load();
    for (let index = 0; index < MAX_DIGESTS_OF_PEER; index += 1) assert.ok(load.join('a'));
    assert.equal(load.join('a'), false);
    assert.ok(load.join('b'));
    load.leave('a');
    assert.ok(load.join('a'));
    assert.equal(load.members, MAX_DIGESTS_OF_PEER + 1);
    assert.equal(load.peers, 2);
    load.leave('b');
    load.leave('b');
    assert.equal(load.members, MAX_DIGESTS_OF_PEER);
  });

  it('lets all followers report some 200 times a second together, and not all at once', () => {
    const load = new Load();
    assert.ok(load.followerRenewMs() <= 1_250);
    for (let index = 0; index < 5_000; index += 1) load.join(`n${index}`);
    const times = Array.from({ length: 5_000 }, () => load.followerRenewMs());
    const rate = times.reduce((sum, time) => sum + 1_000 / time, 0);
    assert.ok(rate > 180 && rate < 230, String(rate));
    assert.ok(new Set(times.map((time) => Math.floor(time / 100))).size > 100);
  });

  it('lets fetchers report every 250 ms, and less often when there are many', () => {
    const load = new Load();
    assert.equal(load.fetcherRenewMs(), 250);
    load.addLeases(1_000);
    assert.equal(load.fetcherRenewMs(), 5_000);
  });
});
