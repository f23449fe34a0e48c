import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

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
    records.add('old', 'a', { ageMs: 600 });
    records.add('both', 'a');
    records.add('both', 'a', { ageMs: 600 });
    now = 500;
    assert.deepEqual(records.providers('old', 10), []);
    assert.deepEqual(records.providers('both', 10), ['a']);
    records.add('both', 'a', { ageMs: 100 });
    now = 1300;
    assert.deepEqual(records.providers('both', 10), ['a'], 'a younger one renews it');
  });

  it('gives the peers at one host one share of the room', () => {
    const { records } = clocked({ maxRecords: 100, maxRecordsPerPeer: 10, maxRecordsPerHost: 15 });
    const host = 'attacker';
    let kept = 0;
    for (let peer = 0; peer < 50; peer++) {
      for (let key = 0; key < 5; key++) {
        if (records.add(`${peer} ${key}`, `peer-${peer}`, { host })) kept++;
      }
    }
    assert.equal(kept, 15);
    assert.equal(records.add('0 0', 'peer-0', { host }), true, 'renewing needs no space');
    assert.equal(records.add('new', 'other', { host: 'other' }), true);
    assert.equal(records.add('new', 'unknown'), true, 'a peer whose host is unknown counts alone');
    records.delete('0 0', 'peer-0');
    assert.equal(records.add('again', 'peer-49', { host }), true);
  });

  it('takes from the host with most when it is full, from however many peers there', () => {
    const { records } = clocked({ maxRecords: 30 });
    for (let i = 0; i < 20; i++) records.add(String(i), `identity-${i}`, { host: 'attacker' });
    for (let i = 0; i < 10; i++) records.add(String(i), 'node', { host: 'node' });
    assert.equal(records.add('new', 'newcomer', { host: 'newcomer' }), true);
    for (let i = 0; i < 10; i++) assert.ok(records.has(String(i), 'node'));
    assert.equal(records.has('0', 'identity-0'), false, 'the oldest');
    assert.ok(records.has('19', 'identity-19'));
  });

  it('counts the records of a peer at the host where it is now', () => {
    const { records } = clocked({ maxRecordsPerHost: 2 });
    records.add('1', 'a', { host: 'before' });
    records.add('2', 'a', { host: 'before' });
    assert.equal(records.add('3', 'b', { host: 'before' }), false);
    records.add('1', 'a', { host: 'after' });
    assert.equal(records.add('3', 'b', { host: 'before' }), true);
    assert.equal(records.add('3', 'a'), false, 'where it was last');
  });

  it('keeps its bounds for each peer and host, and its counts, whatever is done', () => {
    const bounds = { maxRecords: 40, maxRecordsPerPeer: 8, maxRecordsPerHost: 12 };
    const hostNames = ['h0', 'h1', 'h2', undefined];
    const step = fc.record({
      kind: fc.constantFrom('add', 'add', 'add', 'delete', 'sweep', 'wait'),
      key: fc.nat(15),
      peer: fc.nat(9),
      host: fc.constantFrom(...hostNames),
      ageMs: fc.constantFrom(0, 500),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { clock, records } = clocked({ validityMs: 1000, ...bounds });
        /** Where each peer was when it last provided. */
        const hosts = new Map<string, string | undefined>();
        for (const { kind, key, peer, host, ageMs } of steps) {
          const [recordKey, peerId] = [`key-${key}`, `peer-${peer}`];
          if (kind === 'delete') records.delete(recordKey, peerId);
          else if (kind === 'sweep') records.sweep();
          else if (kind === 'wait') clock.now += 400;
          else {
            const isThere = records.has(recordKey, peerId);
            if (!records.hasPeer(peerId)) hosts.delete(peerId);
            const isKept = records.add(recordKey, peerId, { ageMs, host });
            if (host !== undefined) hosts.set(peerId, host);
            if (isThere) assert.ok(isKept, 'a valid record is always renewed');
            const at = hosts.get(peerId) ?? peerId;
            const count = countedOf(records, hosts).get(at) ?? 0;
            if (isKept && !isThere)
              assert.ok(count <= bounds.maxRecordsPerHost, `${count} at ${at}`);
          }
          assert.ok(records.size <= bounds.maxRecords);
          for (const count of countedOf(records, new Map()).values()) {
            assert.ok(count <= bounds.maxRecordsPerPeer);
          }
        }
        for (let peer = 0; peer < 10; peer++) {
          for (let key = 0; key < 16; key++) records.delete(`key-${key}`, `peer-${peer}`);
        }
        assert.equal(records.size, 0);
        // No count is left behind: each host has all of its room again.
        for (let key = 0; key < 12; key++) {
          const peerId = key < 8 ? 'one' : 'two';
          assert.equal(records.add(`key-${key}`, peerId, { host: 'h0' }), true);
        }
        assert.equal(records.add('key-12', 'two', { host: 'h0' }), false);
      }),
    );
  });
});

/** The valid records by host, and by peer where that is unknown. */
function countedOf(
  records: ProviderRecords,
  hosts: ReadonlyMap<string, string | undefined>,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (let key = 0; key < 16; key++) {
    for (const peerId of records.providers(`key-${key}`, 1000)) {
      const name = hosts.get(peerId) ?? peerId;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return counts;
}
