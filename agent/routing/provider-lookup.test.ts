import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import type { ProvidersAnswer } from './dht-client.ts';
import { routingKey } from './key.ts';
import { dhtPeer, Membership } from './membership.ts';
import type { DhtPeer } from './membership.ts';
import { ProviderLookup } from './provider-lookup.ts';
import type { ProviderLookupComponents } from './provider-lookup.ts';
import { ProviderRecords } from './provider-records.ts';
import type { Provider } from './router.ts';
import { Suppressions } from './suppressions.ts';
import { silent } from './test-network.ts';

const { recordKey } = routingKey('key');
const newPeer = async (): Promise<DhtPeer> =>
  dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519')));

let self: DhtPeer;
let live: DhtPeer;
let gone: DhtPeer;
let members: DhtPeer[] = [];
let membership: Membership;
let records: ProviderRecords;
let answers: Map<DhtPeer, Promise<ProvidersAnswer>>;
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
  records = new ProviderRecords({ ownPeerId: self.text });
  const node = {
    peerId: self.id,
    getConnections: (id: PeerId) =>
      id.equals(live.id) ? [{ remoteAddr: multiaddr('/ip4/10.0.0.7/tcp/5001') }] : [],
    peerStore: {
      get: () => Promise.resolve({ addresses: [{ multiaddr: addressed(live).multiaddrs[0] }] }),
    },
  };
  membership = new Membership(node as never);
  membership.members = () => members;
  const components = {
    node,
    membership,
    client: {
      getProviders: (peer: DhtPeer) =>
        answers.get(peer) ?? Promise.resolve({ providers: [], closer: [] }),
    },
    records,
    suppressions: new Suppressions(),
    addresses: { current: () => [] },
    logger: silent,
    observer: {},
  };
  lookup = new ProviderLookup(components as unknown as ProviderLookupComponents, {
    registryPort: 5000,
  });
});

async function find(): Promise<Provider[]> {
  const found: Provider[] = [];
  for await (const provider of lookup.find('key')) found.push(provider);
  return found;
}

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
  membership.suspect(live);
  answers.set(live, Promise.resolve({ providers: [], closer: [] }));
  assert.deepEqual(idsOf(await find()), [live.text]);
});

test('peers that did not answer lately are not waited for when others have answered', async () => {
  const frozen = await newPeer();
  members = [live, frozen];
  answers.set(frozen, Promise.withResolvers<never>().promise);
  membership.suspect(frozen);
  assert.deepEqual(await find(), []);
});

test('what a peer says of itself counts more than what others say of it', async () => {
  const liar = await newPeer();
  members = [liar, live];
  answers.set(liar, Promise.resolve({ providers: [addressed(live, '10.6.6.6')], closer: [] }));
  answers.set(live, Promise.resolve({ providers: [addressed(live)], closer: [] }));
  assert.deepEqual(await find(), [{ peerId: live.text, origins: ['http://10.0.0.7:5000'] }]);
});
