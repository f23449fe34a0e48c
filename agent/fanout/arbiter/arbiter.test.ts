import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ArbiterFixture, digestOf } from '../../testing/arbiter-fixture.ts';
import { FORGET_MS, MAX_DIGESTS, MAX_DIGESTS_OF_PEER, MAX_MEMBERSHIPS } from './bounds.ts';

describe('Arbiter', () => {
  it('keeps digests apart', () => {
    const fixture = new ArbiterFixture();
    assert.equal(fixture.ask('a', { digest: digestOf(1) }), 'fetch');
    assert.equal(fixture.ask('b', { digest: digestOf(2) }), 'fetch');
    assert.equal(fixture.ask('b', { digest: digestOf(1) }), 'follow a');
  });

  it('forgets a digest a while after its last member was heard', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a', { state: 'held' });
    fixture.now += FORGET_MS;
    assert.equal(fixture.arbiter.status().digests, 1);
    fixture.now += 1;
    assert.deepEqual(fixture.arbiter.status(), { digests: 0, members: 0, peers: 0, latest: [] });
    assert.equal(fixture.ask('b'), 'fetch');
  });

  it('forgets members that are silent, with their lease, while others report', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    for (let time = 0; time <= FORGET_MS; time += 1_000) {
      fixture.now += 1_000;
      fixture.ask('b', { canFetch: false });
    }
    assert.equal(fixture.arbiter.status().members, 1);
  });

  it('lets the lease of a silent digest last longer while its fetcher speaks of another one', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('a', { digest: digestOf(1) });
    fixture.now += 1_500;
    fixture.fetching('a', 1, { digest: digestOf(1) });
    assert.equal(fixture.ask('c'), 'follow a');
    fixture.now += 1_500;
    assert.equal(fixture.ask('c'), 'fetch');
  });

  it('keeps the digests that were heard of last', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < MAX_DIGESTS; index += 1)
      fixture.ask(`n${index}`, { digest: digestOf(index) });
    fixture.fetching('n0', 1, { digest: digestOf(0) });
    fixture.ask('x', { digest: digestOf(MAX_DIGESTS) });
    assert.equal(fixture.ask('y', { digest: digestOf(0) }), 'follow n0');
    assert.equal(fixture.ask('y', { digest: digestOf(1) }), 'fetch');
    assert.ok(fixture.arbiter.status().digests <= MAX_DIGESTS);
  });

  it('bounds the digests of one peer, which is alone with the others', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < MAX_DIGESTS_OF_PEER; index += 1)
      assert.equal(fixture.ask('a', { digest: digestOf(index) }), 'fetch');
    assert.equal(fixture.ask('a', { digest: digestOf(5_000) }), 'alone');
    assert.equal(fixture.arbiter.status().digests, MAX_DIGESTS_OF_PEER);
    assert.equal(fixture.ask('b', { digest: digestOf(5_000) }), 'fetch');
  });

  it('bounds the members of all digests', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < MAX_MEMBERSHIPS + 2_000; index += 1)
      fixture.ask(`n${index}`, { digest: digestOf(Math.floor(index / 1_000)), canFetch: false });
    assert.ok(fixture.arbiter.status().members <= MAX_MEMBERSHIPS);
  });

  it('does not count the leases of digests that it forgot', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < 500; index += 1)
      fixture.ask(`n${index}`, { digest: digestOf(index) });
    const busy = fixture.answer('x', { digest: digestOf(900) });
    assert.ok(busy.kind === 'fetch' && busy.renewMs > 2_000);
    fixture.now += FORGET_MS + 1;
    assert.deepEqual(fixture.answer('x', { digest: digestOf(901) }), {
      kind: 'fetch',
      renewMs: 250,
    });
  });
});
