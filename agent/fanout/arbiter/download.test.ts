import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ArbiterFixture, digestOf } from '../../testing/arbiter-fixture.ts';
import { HANDOVER_MS, HOLDER_MS, MAX_LEASES, MAX_MEMBERS, WRONG_MS } from './bounds.ts';

const SIZE = 500_000_000;

describe('Download: who fetches', () => {
  it('lets the first that can fetch do so, and again when it asks again', () => {
    const fixture = new ArbiterFixture();
    assert.equal(fixture.ask('weak', { canFetch: false }), 'alone');
    assert.deepEqual(fixture.answer('a'), { kind: 'fetch', renewMs: 250 });
    assert.equal(fixture.ask('a'), 'fetch');
    assert.equal(fixture.ask('b'), 'follow a');
    assert.equal(fixture.ask('weak', { canFetch: false }), 'follow b');
    assert.equal(fixture.ask('a'), 'fetch');
  });

  it('gives the lease to the next that asks when the fetcher does not renew it', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.now += 900;
    assert.equal(fixture.fetching('a', 0), 'go-on');
    fixture.now += 900;
    assert.equal(fixture.ask('b'), 'follow a');
    fixture.now += 101;
    assert.equal(fixture.ask('c'), 'fetch');
  });

  it('leaves it with a busy fetcher that has bytes, and reports other digests first', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.fetching('a', 100);
    for (let late = 0; late < 2_900; late += 100) {
      fixture.now += 100;
      fixture.fetching('a', late, { digest: digestOf(1) });
      assert.equal(fixture.ask(`b${late}`).startsWith('follow '), true, `${late} ms late`);
    }
    assert.equal(fixture.fetching('a', 200), 'go-on');
    const fetchers = fixture.arbiter.status().latest[0]?.fetchers;
    assert.deepEqual(
      fetchers?.map(({ peerId, reason }) => [peerId, reason]),
      [['a', 'first']],
    );
  });

  for (const state of ['failed', 'wrong'] as const) {
    it(`gives the lease to the next when the fetcher reports ${state}`, () => {
      const fixture = new ArbiterFixture();
      fixture.ask('a');
      assert.equal(fixture.ask('a', { state }), 'go-on');
      assert.equal(fixture.ask('b'), 'fetch');
    });
  }

  it('lets a fetcher go on that reports after its lease lapsed, as another root', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.now += 1_100;
    assert.equal(fixture.ask('b'), 'fetch');
    assert.equal(fixture.fetching('a', 10), 'go-on');
    const [status] = fixture.arbiter.status().latest;
    assert.deepEqual(
      status?.fetchers.map(({ peerId, reason }) => [peerId, reason]),
      [
        ['b', 'next'],
        ['a', 'came back'],
      ],
    );
    assert.deepEqual(['c', 'd'].map((id) => fixture.ask(id)).sort(), ['follow a', 'follow b']);
  });

  it('does not take a stalled fetcher back before it has more bytes', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    for (let index = 0; index < 8; index += 1) {
      fixture.now += 250;
      fixture.fetching('a', 10);
    }
    assert.equal(fixture.ask('b'), 'fetch');
    fixture.fetching('a', 10);
    assert.equal(fixture.arbiter.status().latest[0]?.fetchers.length, 1);
    fixture.fetching('a', 11);
    assert.equal(fixture.arbiter.status().latest[0]?.fetchers.length, 2);
  });

  it('sends each on its own after three failures within a minute, and not after that', () => {
    const fixture = new ArbiterFixture();
    for (const peerId of ['a', 'b', 'c']) {
      assert.equal(fixture.ask(peerId), 'fetch');
      fixture.ask(peerId, { state: 'failed' });
    }
    assert.deepEqual(fixture.answer('d'), { kind: 'alone', forMs: 5_000 });
    for (let index = 0; index < 3; index += 1) {
      fixture.now += 20_001;
      fixture.ask('d', { canFetch: false });
    }
    assert.equal(fixture.ask('e'), 'fetch');
  });

  it('lets an orphan with more bytes be next: one with fewer follows below it for a moment', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.following('b', 'a', { offset: 100 });
    fixture.ask('a', { state: 'failed', offset: 120 });
    assert.equal(fixture.ask('new'), 'follow b');
    assert.equal(fixture.ask('b', { offset: 110, failed: ['a'] }), 'fetch');
  });

  it('does not wait for one with more bytes for longer than a moment', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.following('b', 'a', { offset: 100 });
    fixture.ask('a', { state: 'failed', offset: 120 });
    fixture.now += HANDOVER_MS + 1;
    assert.equal(fixture.ask('new'), 'fetch');
  });

  it('lets a child take the place of a fetcher that it cannot reach, while the lease is valid', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.fetching('a', 10, { children: 1 });
    assert.equal(fixture.ask('b', { offset: 5, failed: ['a'] }), 'fetch');
    assert.equal(fixture.ask('c'), 'follow b');
  });

  it('lets a child wait for the first byte of the fetcher, unless that refuses it', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.fetching('a', 0, { children: 1 });
    for (let index = 0; index < 3; index += 1) {
      assert.equal(fixture.ask('b', { failed: ['a'] }), 'follow a');
      for (let time = 0; time < 1_200; time += 200) {
        fixture.now += 200;
        fixture.fetching('a', 0, { children: 1 });
      }
    }
    assert.equal(fixture.ask('b', { failed: ['a'] }), 'follow a');
    fixture.now += 10;
    assert.equal(fixture.ask('b', { failed: ['a'] }), 'fetch');
  });

  it('lets a line stay one whose arbiter of before has died with the fetcher', () => {
    for (const order of ['bcd', 'cbd', 'cdb', 'dcb', 'dbc', 'bdc']) {
      const fixture = new ArbiterFixture();
      const before = new Map([
        ['b', 'a'],
        ['c', 'b'],
        ['d', 'c'],
      ]);
      const answers = Array.from(order, (id) => {
        fixture.now += 1;
        return fixture.ask(id, { offset: 6, failed: [before.get(id) ?? ''] });
      });
      assert.equal(answers.filter((it) => it === 'fetch').length, 1, `${order}: ${answers.join()}`);
    }
  });

  it('has as many fetchers as the option says, or one in each zone', () => {
    const two = new ArbiterFixture({ fetchers: 2 });
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => two.ask(id)),
      ['fetch', 'fetch', 'follow a'],
    );
    const zones = new ArbiterFixture({ fetchersPerZone: true });
    const ask = (id: string): string => zones.ask(id, { zone: id.slice(0, 1) });
    const answers = ['x1', 'y1', 'x2', 'y2'].map(ask);
    assert.deepEqual(answers, ['fetch', 'fetch', 'follow x1', 'follow y1']);
  });

  it('bounds the leases of a digest', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < 20; index += 1) fixture.fetching(`n${index}`, 1);
    assert.equal(fixture.arbiter.status().latest[0]?.fetchers.length, MAX_LEASES);
  });
});

describe('Download: who holds it', () => {
  it('names holders, those of the zone first, and not those that failed', () => {
    const fixture = new ArbiterFixture();
    for (const id of ['x1', 'y1', 'x2'])
      fixture.ask(id, { state: 'held', offset: 9, size: 9, zone: id.slice(0, 1) });
    assert.match(fixture.ask('a', { zone: 'y' }), /^held y1 x\d x\d$/);
    assert.equal(fixture.ask('b', { zone: 'y', failed: ['y1', 'x2'] }), 'held x1');
  });

  it('names a holder until it has been silent for half a minute', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('x', { state: 'held' });
    for (let time = 0; time < HOLDER_MS; time += 500) {
      fixture.now += 500;
      fixture.fetching('a', time);
    }
    assert.equal(fixture.ask('b'), 'held x');
    fixture.now += 1;
    fixture.fetching('a', HOLDER_MS);
    assert.equal(fixture.ask('c', { failed: ['b'] }), 'follow a');
  });

  it('goes on as without holders when all of them failed', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('x', { state: 'held' });
    assert.equal(fixture.ask('a', { failed: ['x'] }), 'fetch');
    assert.equal(fixture.ask('b', { failed: ['x'] }), 'follow a');
  });

  it('makes a fetcher that has finished a holder, and does not count a failure', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    assert.equal(fixture.ask('a', { state: 'held', offset: 9, size: 9 }), 'go-on');
    assert.equal(fixture.ask('b'), 'held a');
  });

  it('takes a holder that follows again for no holder', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.ask('b', { state: 'held' });
    fixture.following('b', 'a');
    assert.equal(fixture.ask('a'), 'fetch');
    assert.equal(fixture.ask('c', { failed: ['a'] }), 'follow b');
  });

  it('lets a herd follow those that were sent to the only holder', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('x', { state: 'held', offset: SIZE, size: SIZE });
    const answers = ['a', 'b', 'c', 'd'].map((id) => fixture.ask(id, { size: SIZE }));
    assert.deepEqual(answers, ['held x', 'follow a', 'follow b', 'follow c']);
    for (const id of ['a', 'b', 'c', 'd'])
      fixture.ask(id, { state: 'held', offset: SIZE, size: SIZE });
    assert.match(fixture.ask('e', { size: SIZE }), /^held (x d|d x)$/, 'others were followed');
  });
});

describe('Download: wrong content', () => {
  it('takes a member that received it as no holder and no parent for a minute, and sends it upstream', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.following('b', 'a');
    fixture.ask('b', { state: 'wrong' });
    assert.equal(fixture.ask('b'), 'alone');
    fixture.ask('b', { state: 'held' });
    assert.equal(fixture.ask('c'), 'follow a');
    for (let time = 0; time <= WRONG_MS; time += 500) {
      fixture.now += 500;
      fixture.fetching('a', time + 1);
    }
    assert.equal(fixture.ask('b', { failed: [] }), 'follow a');
  });

  it('believes nothing of the line of parents', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    fixture.ask('c');
    fixture.following('b', 'a');
    fixture.ask('c', { state: 'wrong' });
    fixture.following('b', 'a');
    assert.equal(fixture.ask('d'), 'follow b');
  });
});

describe('Download: bounds', () => {
  it('has a bounded number of members', () => {
    const fixture = new ArbiterFixture();
    for (let index = 0; index < MAX_MEMBERS; index += 1) fixture.ask(`n${index}`);
    assert.equal(fixture.ask('one more'), 'alone');
    assert.equal(fixture.arbiter.status().members, MAX_MEMBERS);
    assert.match(fixture.ask(`n${MAX_MEMBERS - 1}`), /^follow /);
  });
});
