import assert from 'node:assert/strict';
import { test } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { Key } from 'interface-datastore';

import { routingKey } from './key.ts';
import { ProviderRecords } from './provider-records.ts';
import { RoutingDatastore } from './routing-datastore.ts';

function clocked(init: Partial<ConstructorParameters<typeof ProviderRecords>[0]> = {}) {
  const clock = { now: 0 };
  const records = new ProviderRecords({ ownPeerId: 'me', now: () => clock.now, ...init });
  return { clock, records };
}

test('a record is never returned past its validity', () => {
  const { clock, records } = clocked({ validityMs: 1000 });
  records.add('key', 'a');
  clock.now = 999;
  records.add('key', 'b');
  assert.deepEqual(records.providers('key'), ['b', 'a']);
  clock.now = 1000;
  assert.deepEqual(records.providers('key'), ['b']);
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
  assert.deepEqual(records.providers('key'), ['a']);
  assert.equal(records.size, 1);
});

test('our own records neither expire nor count', () => {
  const { clock, records } = clocked({ validityMs: 1000, maxRecords: 1 });
  records.add('key', 'a');
  assert.equal(records.add('key', 'me'), true);
  clock.now = 1e9;
  assert.deepEqual(records.providers('key'), ['me']);
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
  assert.deepEqual(records.providers('new'), ['newcomer']);
  assert.deepEqual(records.providers('0'), ['modest'], 'the oldest went');
  assert.equal(records.add('more', 'greedy'), true, 'there is room for a few now');
  assert.ok(records.size <= 30);
});

test('what is no SHA2-256 multihash is refused by the datastore', async () => {
  const { records } = clocked();
  const datastore = new RoutingDatastore(records);
  const { recordKey } = routingKey('key');
  const refused = ['mh', recordKey.slice(1), `${recordKey}a`, 'a'.repeat(1e6)];
  for (const key of refused) {
    await assert.rejects(async () =>
      datastore.put(new Key(`/dht/provider/${key}/a`), Uint8Array.of(1)),
    );
  }
  assert.equal(records.size, 0);
  await datastore.put(new Key(`/dht/provider/${recordKey}/a`), Uint8Array.of(1));
  assert.equal(records.size, 1);
});

test('a key that everybody provides names a bounded number of providers', () => {
  const { records } = clocked();
  for (let i = 0; i < 1000; i++) records.add('key', `peer-${String(i)}`);
  const providers = records.providers('key');
  assert.equal(providers.length, 100);
  assert.equal(providers[0], 'peer-999');
});

test('the datastore answers kad-dht from the records, and only peers that the peer store knows', async () => {
  const { clock, records } = clocked({ validityMs: 1000 });
  const datastore = new RoutingDatastore(records);
  const [known, unknown] = await Promise.all(
    ['known', 'unknown'].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
  );
  assert.ok(known && unknown);
  const mh = routingKey('key').recordKey;
  await datastore.put(new Key(`/peers/${known.toCID().toString()}`), Uint8Array.of(1));
  for (const peer of [known, unknown]) {
    await datastore.put(new Key(`/dht/provider/${mh}/${peer.toString()}`), Uint8Array.of(1));
  }
  const read = async (prefix: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of datastore.query({ prefix })) keys.push(key.toString());
    return keys;
  };
  const knownKey = `/dht/provider/${mh}/${known.toString()}`;
  assert.deepEqual(await read(`/dht/provider/${mh}`), [knownKey]);
  assert.deepEqual(await read('/dht/provider'), [], 'nothing for the reprovider');
  assert.equal((await read('/peers')).length, 1);
  assert.equal(await datastore.has(new Key(knownKey)), true);
  await datastore.delete(new Key(knownKey));
  assert.equal(await datastore.has(new Key(knownKey)), false);
  await assert.rejects(async () => datastore.get(new Key(knownKey)), { name: 'NotFoundError' });
  await datastore.put(new Key(knownKey), Uint8Array.of(1));
  clock.now = 2000;
  assert.deepEqual(await read(`/dht/provider/${mh}`), []);
});
