import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { AddressBook } from '../node/address-book.ts';
import type { ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import { LookupKeys } from '../dht/lookup-keys.ts';
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
let negativeCache: NegativeCache;
let answers: Map<DhtPeer, Promise<ProvidersAnswer>>;
let asked: DhtPeer[];
let isEstablished: boolean;
let lookup: ProviderLookup;

/** A peer with its address, or with another that other peers may name. */
const addressed = (peer: DhtPeer, ip = '10.0.0.7') => ({
  peerId: peer.text,
  multiaddrs: [multiaddr(`/ip4/${ip}/tcp/5000/http`)],
});

beforeEach(async () => {
  [self, live, gone] = await Promise.all([newPeer(), newPeer(), newPeer()]);
  members = [live];
  answers = new Map();
  asked = [];
  isEstablished = true;
  negativeCache = new NegativeCache();
  records = new ProviderRecords({
    ownPeerId: self.text,
    onProvided: (key) => {
      lookup.noticeRecord(key);
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
  for (const peer of [live, gone]) announceAddress(peer);
  const client = {
    getProviders: (peer: DhtPeer) => {
      asked.push(peer);
      return answers.get(peer) ?? Promise.resolve({ providers: [], closer: [] });
    },
  };
  const addresses = { current: () => [] };
  lookup = new ProviderLookup({
    lookupKeys: new LookupKeys(),
    self,
    client: client,
    membership,
    scale: { isLarge: false },
    isEstablished: () => isEstablished,
    logger: silent,
    view: new ProviderView(
      { records, addressBook, membership, addresses, policy, scale: { isLarge: false } },
      { ownPeerId: self.text, registryPort: 5000 },
    ),
    negativeCache,
    observer: {},
  });
});

const policy = { allows: () => true };

function announceAddress(peer: DhtPeer): void {
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

describe('ProviderLookup', () => {
  it('names a departed provider after connected ones', async () => {
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

  it('names an unresponsive provider when there is no other', async () => {
    records.add(recordKey, live.text);
    membership.markUnresponsive(live);
    answers.set(live, Promise.resolve({ providers: [], closer: [] }));
    assert.deepEqual(idsOf(await find()), [live.text]);
  });

  it('does not wait for unresponsive peers when others have answered', async () => {
    const frozen = await newPeer();
    members = [live, frozen];
    answers.set(frozen, Promise.withResolvers<never>().promise);
    membership.markUnresponsive(frozen);
    assert.deepEqual(await find(), []);
  });

  it('prefers the addresses that a provider announces to those that other peers name', async () => {
    const liar = await newPeer();
    members = [liar, live];
    answers.set(liar, Promise.resolve({ providers: [addressed(live, '10.6.6.6')], closer: [] }));
    answers.set(live, Promise.resolve({ providers: [addressed(live)], closer: [] }));
    assert.deepEqual(await find(), [{ peerId: live.text, origins: ['http://10.0.0.7:5000'] }]);
  });

  it('remembers a miss until a record of the key arrives', async () => {
    assert.deepEqual(await find(), []);
    assert.deepEqual(await find(), []);
    assert.deepEqual(asked, [live], 'asked once');
    records.add(recordKey, live.text);
    assert.deepEqual(idsOf(await find()), [live.text]);
    records.delete(recordKey, live.text);
    answers.set(live, Promise.resolve({ providers: [addressed(gone)], closer: [] }));
    assert.deepEqual(idsOf(await find()), [gone.text], 'the record has ended the miss');
  });

  it('does not remember a miss when a peer did not answer', async () => {
    const silentPeer = await newPeer();
    members = [live, silentPeer];
    answers.set(silentPeer, Promise.reject(new Error('no answer')));
    assert.deepEqual(await find(), []);
    answers.set(live, Promise.resolve({ providers: [addressed(gone)], closer: [] }));
    assert.deepEqual(idsOf(await find()), [gone.text]);
  });

  it('remembers a miss for a key whose records others keep for an instant only', async (t) => {
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

  it('gives a record that arrives during a query to its callers', async () => {
    const answer = Promise.withResolvers<ProvidersAnswer>();
    answers.set(live, answer.promise);
    const first = lookup.find('key').next();
    await new Promise(setImmediate);
    records.add(recordKey, live.text);
    const { value } = await first;
    assert.equal(value?.peerId, live.text);
    answer.resolve({ providers: [], closer: [] });
  });

  /** Makes the K closest to the key established members, with this node among them or not. */
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

  it('asks a few of many established peers, and takes their misses for a miss', async () => {
    await establish(false);
    assert.deepEqual(await find(), []);
    assert.equal(asked.length, 3);
    assert.deepEqual(await find(), []);
    assert.equal(asked.length, 3, 'remembered');
  });

  it('asks one peer less when this node keeps the records of the key', async () => {
    await establish(true);
    assert.deepEqual(await find(), []);
    assert.equal(asked.length, 2);
  });

  it('does not count this node while it may lack records', async () => {
    await establish(true);
    isEstablished = false;
    assert.deepEqual(await find(), []);
    assert.equal(asked.length, 3);
  });

  it('asks one more for a peer that does not answer, and all others when two do not', async () => {
    await establish(true);
    const [first, second] = byDistance();
    assert.ok(first && second);
    answers.set(first, Promise.withResolvers<never>().promise);
    assert.deepEqual(await find(), []);
    assert.equal(asked.length, 3, 'one more has been asked');

    lookup.noticeRecord(recordKey);
    asked = [];
    answers.set(first, Promise.reject(new Error('no answer')));
    answers.set(second, Promise.reject(new Error('no answer')));
    const last = byDistance().at(-1);
    assert.ok(last);
    answers.set(last, Promise.resolve({ providers: [addressed(live)], closer: [] }));
    assert.deepEqual(idsOf(await find()), [live.text]);
    assert.equal(asked.length, K, 'all have been asked');
  });

  it('asks all others when the providers named first are of no use', async () => {
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
});
