import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ProviderRecords } from './provider-records.ts';

function clocked(init: Partial<ConstructorParameters<typeof ProviderRecords>[0]> = {}) {
  const clock = { now: 0 };
  const records = new ProviderRecords({ ownPeerId: 'me', now: () => clock.now, ...init });
  return { clock, records };
}

const named = (records: ProviderRecords, key: string) => records.providers(key, 1000);

describe('ProviderRecords', () => {
  it('never returns an expired record', () => {
    const { clock, records } = clocked({ validityMs: 1000 });
    records.add('key', 'a');
    clock.now = 990;
    records.add('key', 'b');
    assert.deepEqual(named(records, 'key'), ['b', 'a']);
    clock.now = 1000;
    assert.deepEqual(named(records, 'key'), ['b']);
    assert.equal(records.has('key', 'a'), false);
    assert.equal(records.size, 2);
    records.sweep();
    assert.equal(records.size, 1);
    assert.equal(records.hasPeer('a'), false);
  });

  it('renews a record that is provided again', () => {
    const { clock, records } = clocked({ validityMs: 1000 });
    records.add('key', 'a');
    clock.now = 900;
    records.add('key', 'a');
    clock.now = 1800;
    assert.deepEqual(named(records, 'key'), ['a']);
    assert.equal(records.size, 1);
  });

  it('neither expires nor counts the records of this node', () => {
    const { clock, records } = clocked({ validityMs: 1000, maxRecords: 1 });
    records.add('key', 'a');
    assert.equal(records.add('key', 'me'), true);
    clock.now = 1e9;
    assert.deepEqual(named(records, 'key'), ['me']);
  });

  it('bounds the records of each peer and of all peers', () => {
    const { clock, records } = clocked({ validityMs: 1000, maxRecords: 3, maxRecordsPerPeer: 2 });
    assert.equal(records.add('1', 'a'), true);
    assert.equal(records.add('2', 'a'), true);
    assert.equal(records.add('3', 'a'), false);
    assert.equal(records.add('1', 'a'), true, 'renewing needs no space');
    assert.equal(records.add('3', 'b'), true);
    assert.equal(records.add('4', 'b'), false, 'full, and no peer has more');
    clock.now = 20_000;
    assert.equal(records.add('4', 'c'), true, 'expired records are swept');
    assert.equal(records.size, 1);
  });

  it('deletes the oldest records of the peer with most of them when it is full', () => {
    const { records } = clocked({ maxRecords: 30 });
    for (let i = 0; i < 25; i++) records.add(String(i), 'greedy');
    for (let i = 0; i < 5; i++) records.add(String(i), 'modest');
    assert.equal(records.add('new', 'newcomer'), true);
    assert.deepEqual(named(records, 'new'), ['newcomer']);
    assert.deepEqual(named(records, '0'), ['modest'], 'the oldest is deleted');
    assert.equal(records.add('more', 'greedy'), true, 'there is space for a few now');
    assert.ok(records.size <= 30);
  });

  it('returns a bounded number of providers, and others each time, when there are many', () => {
    const { records } = clocked();
    const everybody = Array.from({ length: 1000 }, (_, i) => `peer-${String(i)}`);
    for (const peerId of everybody) records.add('key', peerId);
    const named = new Set<string>();
    for (let reads = 0; reads < 1000 && named.size < everybody.length; reads++) {
      const providers = records.providers('key', 100);
      assert.equal(new Set(providers).size, 100);
      for (const peerId of providers) named.add(peerId);
    }
    assert.equal(named.size, everybody.length);
  });

  it('deletes and expires records alike for one provider and for several', () => {
    const { clock, records } = clocked({ validityMs: 1000 });
    records.add('key', 'a');
    records.add('key', 'b');
    records.delete('key', 'a');
    assert.deepEqual(named(records, 'key'), ['b']);
    records.delete('key', 'b');
    records.delete('key', 'b');
    assert.deepEqual(named(records, 'key'), []);
    assert.equal(records.size, 0);
    records.add('key', 'c');
    clock.now = 2000;
    records.add('key', 'd');
    assert.deepEqual(named(records, 'key'), ['d']);
    records.sweep();
    assert.equal(records.size, 1);
    assert.equal(records.has('key', 'c'), false);
  });

  it('keeps a record that was provided a while ago for the rest of its time, and never shortens it', () => {
    let now = 0;
    const records = new ProviderRecords({ ownPeerId: 'own', validityMs: 1000, now: () => now });
    records.add('old', 'a', 600);
    records.add('both', 'a');
    records.add('both', 'a', 600);
    now = 500;
    assert.deepEqual(records.providers('old', 10), []);
    assert.deepEqual(records.providers('both', 10), ['a']);
    records.add('both', 'a', 100);
    now = 1300;
    assert.deepEqual(records.providers('both', 10), ['a'], 'a younger one renews it');
  });
});
