import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { AddressBook } from '../node/address-book.ts';
import type { ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import { dhtPeer, Membership } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ProviderLookup } from './provider-lookup.ts';
import { ProviderRecords } from '../dht/provider-records.ts';
import { ProviderView } from './provider-view.ts';
import type { Provider } from '../router.ts';
import { NegativeCache } from './negative-cache.ts';
import { silent } from '../../testing/test-network.ts';

const { recordKey } = routingKey('key');
const newPeer = async (): Promise<DhtPeer> =>
  dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519')));

let self: DhtPeer;
let live: DhtPeer;
let gone: DhtPeer;
let members: DhtPeer[] = [];
let membership: Membership;
let addressBook: AddressBook;
let records: ProviderRecords;
let suppressions: NegativeCache;
let answers: Map<DhtPeer, Promise<ProvidersAnswer>>;
let asked: DhtPeer[];
let lookup: ProviderLookup;

/** What a peer says itself, and with another address what others say about it. */
const addressed = (peer: DhtPeer, ip = '10.0.0.7') => ({
  peerId: peer.text,
  multiaddrs: [multiaddr(`/ip4/${ip}/tcp/5000/http`)],
});

beforeEach(async () => {
  [self, live, gone] = await Promise.all([newPeer(), newPeer(), newPeer()]);
  members = [live];
  answers = new Map();
  asked = [];
  suppressions = new NegativeCache();
  records = new ProviderRecords({
    ownPeerId: self.text,
    onProvided: (key) => {
      lookup.noticePlaced(key);
    },
  });
  const node = {
    peerId: self.id,
    getConnections: (id: PeerId) =>
      id.equals(live.id) ? [{ remoteAddr: multiaddr('/ip4/10.0.0.7/tcp/5001') }] : [],
  };
  membership = new Membership(node as never);
  membership.members = () => members;
  membership.connectedIp = (peerId) => (peerId === live.text ? '10.0.0.7' : undefined);
  addressBook = new AddressBook();
  for (const peer of [live, gone]) tellAddress(peer);
  const client = {
    getProviders: (peer: DhtPeer) => {
      asked.push(peer);
      return answers.get(peer) ?? Promise.resolve({ providers: [], closer: [] });
    },
  };
  const addresses = { current: () => [] };
  lookup = new ProviderLookup({
    self,
    client: client,
    membership,
    logger: silent,
    view: new ProviderView(
      { records, addressBook, membership, addresses: addresses as never },
      { ownPeerId: self.text, registryPort: 5000 },
    ),
    suppressions,
    observer: {},
  });
});

function tellAddress(peer: DhtPeer): void {
  const multiaddrs = addressed(peer).multiaddrs.map(({ bytes }) => bytes);
  addressBook.set(peer.text, peer.id.toMultihash().bytes, multiaddrs);
}

async function find(): Promise<Provider[]> {
  const found: Provider[] = [];
  for await (const provider of lookup.find('key')) found.push(provider);
  return found;
}

/** The members in the order in which they are asked. */
const byDistance = () => closest(routingKey('key').target, members, members.length);

const idsOf = (providers: readonly Provider[]) => providers.map(({ peerId }) => peerId);

test('a provider that has left is named after those that are there', async () => {
  records.add(recordKey, live.text);
  records.add(recordKey, gone.text);
  assert.deepEqual(idsOf(await find()), [live.text, gone.text]);
  records.delete(recordKey, live.text);
  answers.set(live, Promise.resolve({ providers: [addressed(live)], closer: [] }));
  assert.deepEqual(
    idsOf(await find()),
    [live.text, gone.text],
    'also when another peer names them',
  );
});

test('a provider under suspicion is named all the same when there is no other', async () => {
  records.add(recordKey, live.text);
  membership.markUnresponsive(live);
  answers.set(live, Promise.resolve({ providers: [], closer: [] }));
  assert.deepEqual(idsOf(await find()), [live.text]);
});

test('peers that did not answer lately are not waited for when others have answered', async () => {
  const frozen = await newPeer();
  members = [live, frozen];
  answers.set(frozen, Promise.withResolvers<never>().promise);
  membership.markUnresponsive(frozen);
  assert.deepEqual(await find(), []);
});

test('what a peer says of itself counts more than what others say of it', async () => {
  const liar = await newPeer();
  members = [liar, live];
  answers.set(liar, Promise.resolve({ providers: [addressed(live, '10.6.6.6')], closer: [] }));
  answers.set(live, Promise.resolve({ providers: [addressed(live)], closer: [] }));
  assert.deepEqual(await find(), [{ peerId: live.text, origins: ['http://10.0.0.7:5000'] }]);
});

test('a no is remembered, until somebody announces the key', async () => {
  assert.deepEqual(await find(), []);
  assert.deepEqual(await find(), []);
  assert.deepEqual(asked, [live], 'asked once');
  records.add(recordKey, live.text);
  assert.deepEqual(idsOf(await find()), [live.text]);
  records.delete(recordKey, live.text);
  answers.set(live, Promise.resolve({ providers: [addressed(gone)], closer: [] }));
  assert.deepEqual(idsOf(await find()), [gone.text], 'the announcement has ended the no');
});

test('a no is not remembered when somebody did not answer', async () => {
  const silentPeer = await newPeer();
  members = [live, silentPeer];
  answers.set(silentPeer, Promise.reject(new Error('no answer')));
  assert.deepEqual(await find(), []);
  answers.set(live, Promise.resolve({ providers: [addressed(gone)], closer: [] }));
  assert.deepEqual(idsOf(await find()), [gone.text]);
});

test('a no of a key whose records others keep is believed for an instant only', async (t) => {
  const { target } = routingKey('key');
  members = await Promise.all(
    Array.from({ length: K }, async (_, i) => {
      return { ...(await newPeer()), prefix: (target ^ i) >>> 0 };
    }),
  );
  t.mock.method(performance, 'now', () => now);
  let now = 0;
  assert.deepEqual(await find(), []);
  const first = asked.length;
  assert.deepEqual(await find(), []);
  assert.equal(asked.length, first, 'not asked again');
  now = 60;
  assert.deepEqual(await find(), []);
  assert.ok(asked.length > first);
});

test('a record that is placed while others are asked is found by those who wait', async () => {
  const answer = Promise.withResolvers<ProvidersAnswer>();
  answers.set(live, answer.promise);
  const first = lookup.find('key').next();
  await new Promise(setImmediate);
  records.add(recordKey, live.text);
  const { value } = await first;
  assert.equal(value?.peerId, live.text);
  answer.resolve({ providers: [], closer: [] });
});

/** Peers that keep the records of the key, and have done so for long; with this node among them or not. */
async function establish(selfToo: boolean): Promise<void> {
  const { target } = routingKey('key');
  const near = { ...self, prefix: selfToo ? target : ~target >>> 0 };
  Object.assign(self, near);
  members = await Promise.all(
    Array.from({ length: K }, async (_, i) => {
      return { ...(await newPeer()), prefix: (target ^ (i + 1)) >>> 0 };
    }),
  );
  membership.isEstablished = () => true;
}

test('of many peers that have been there for a while a few are asked, and their no is a no', async () => {
  await establish(false);
  assert.deepEqual(await find(), []);
  assert.equal(asked.length, 3);
  assert.deepEqual(await find(), []);
  assert.equal(asked.length, 3, 'remembered');
});

test('who keeps the records of a key asks one less: it knows what the others know', async () => {
  await establish(true);
  assert.deepEqual(await find(), []);
  assert.equal(asked.length, 2);
});

test('one of the few that does not answer is not waited for, two are made up for by the others', async () => {
  await establish(true);
  const [first, second] = byDistance();
  assert.ok(first && second);
  answers.set(first, Promise.withResolvers<never>().promise);
  assert.deepEqual(await find(), []);
  assert.equal(asked.length, 3, 'one more has been asked');

  lookup.noticePlaced(recordKey);
  asked = [];
  answers.set(first, Promise.reject(new Error('no answer')));
  answers.set(second, Promise.reject(new Error('no answer')));
  const last = byDistance().at(-1);
  assert.ok(last);
  answers.set(last, Promise.resolve({ providers: [addressed(live)], closer: [] }));
  assert.deepEqual(idsOf(await find()), [live.text]);
  assert.equal(asked.length, K, 'all have been asked');
});

test('when what a few have named is of no use, all others are asked', async () => {
  await establish(false);
  const [first] = byDistance();
  const last = byDistance().at(-1);
  assert.ok(first && last);
  answers.set(first, Promise.resolve({ providers: [addressed(gone)], closer: [] }));
  answers.set(last, Promise.resolve({ providers: [addressed(live)], closer: [] }));
  for await (const { peerId } of lookup.find('key')) {
    assert.equal(peerId, live.text, 'the one that is connected is named first');
    break;
  }
  assert.equal(asked.length, K);
});
