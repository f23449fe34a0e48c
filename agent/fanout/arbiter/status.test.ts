import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ArbiterFixture, digestOf } from '../../testing/arbiter-fixture.ts';
import { MAX_STATUS_DIGESTS } from './status.ts';

describe('the status of an arbiter', () => {
  it('has who fetches and why, members by state, and the shape of the tree', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.ask('c');
    fixture.following('b', 'a', { children: 1 });
    fixture.ask('h', { state: 'held' });
    fixture.now += 100;
    fixture.fetching('a', 7, { size: 9, children: 1 });
    assert.deepEqual(fixture.arbiter.status(), {
      digests: 1,
      members: 4,
      peers: 4,
      latest: [
        {
          digest: digestOf(0),
          members: { wants: 1, following: 1, held: 1, fetching: 1 },
          holders: 1,
          fetchers: [{ peerId: 'a', offset: 7, size: 9, forMs: 100, reason: 'first' }],
          depth: 2,
          fanOut: 1,
        },
      ],
    });
  });

  it('lists a bounded number of digests, those that were heard of last', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < 50; index += 1) fixture.ask('a', { digest: digestOf(index) });
    const { latest } = fixture.arbiter.status();
    assert.equal(latest.length, MAX_STATUS_DIGESTS);
    assert.equal(latest[0]?.digest, digestOf(49));
  });
});
