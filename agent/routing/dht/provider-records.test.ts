import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ProviderRecords } from './provider-records.ts';

function clocked(init: Partial<ConstructorParameters<typeof ProviderRecords>[0]> = {}) {
  const clock = { now: 0 };
  const records = new ProviderRecords({ ownPeerId: 'me', now: () => clock.now, ...init });
  return { clock, records };
}

const named = (records: ProviderRecords, key: string) => records.providers(key, 1000);

test('a record is never returned past its validity', () => {
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

test('placing a record again renews it', () => {
  const { clock, records } = clocked({ validityMs: 1000 });
  records.add('key', 'a');
  clock.now = 900;
  records.add('key', 'a');
  clock.now = 1800;
  assert.deepEqual(named(records, 'key'), ['a']);
  assert.equal(records.size, 1);
});

test('our own records neither expire nor count', () => {
  const { clock, records } = clocked({ validityMs: 1000, maxRecords: 1 });
  records.add('key', 'a');
  assert.equal(records.add('key', 'me'), true);
  clock.now = 1e9;
  assert.deepEqual(named(records, 'key'), ['me']);
});

test('a peer can fill neither more than its share nor more than there is', () => {
  const { clock, records } = clocked({ validityMs: 1000, maxRecords: 3, maxRecordsPerPeer: 2 });
  assert.equal(records.add('1', 'a'), true);
  assert.equal(records.add('2', 'a'), true);
  assert.equal(records.add('3', 'a'), false);
  assert.equal(records.add('1', 'a'), true, 'renewing needs no room');
  assert.equal(records.add('3', 'b'), true);
  assert.equal(records.add('4', 'b'), false, 'full, and nobody has more');
  assert.equal(records.refused, 2);
  clock.now = 20_000;
  assert.equal(records.add('4', 'c'), true, 'expired records make room');
  assert.equal(records.size, 1);
});

test('when all room is taken the peer with the most records makes some', () => {
  const { records } = clocked({ maxRecords: 30 });
  for (let i = 0; i < 25; i++) records.add(String(i), 'greedy');
  for (let i = 0; i < 5; i++) records.add(String(i), 'modest');
  assert.equal(records.add('new', 'newcomer'), true);
  assert.deepEqual(named(records, 'new'), ['newcomer']);
  assert.deepEqual(named(records, '0'), ['modest'], 'the oldest went');
  assert.equal(records.add('more', 'greedy'), true, 'there is room for a few now');
  assert.ok(records.size <= 30);
});

test('a key that everybody provides names a bounded number of providers, others each time', () => {
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

test('records of one key with one provider and with many are kept alike', () => {
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
