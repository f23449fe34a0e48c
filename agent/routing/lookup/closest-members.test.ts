import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { kadIdOf } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import { LookupKeys } from '../dht/lookup-keys.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ClosestMembers } from './closest-members.ts';

const newPeers = (count: number): Promise<DhtPeer[]> =>
  Promise.all(
    Array.from({ length: count }, async () =>
      dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
    ),
  );

/** A network in which nothing is looked up. */
const small = {
  scale: { isLarge: false },
  nodeLookup: { find: () => Promise.reject(new Error('looked up')) },
};

/** As the node `self` sees the peers: it cannot reach those that are `absent`. */
function seenBy(
  self: DhtPeer,
  peers: readonly DhtPeer[],
  absent: ReadonlySet<string> = new Set(),
): ClosestMembers {
  const provider = (peerId: string) => ({ peerId, origins: [`http://${peerId}`] });
  const others = peers.filter((peer) => peer !== self);
  return new ClosestMembers({
    lookupKeys: new LookupKeys(),
    self,
    membership: { members: () => others },
    view: {
      self: () => provider(self.text),
      locate: (peerId) => (absent.has(peerId) ? undefined : provider(peerId)),
    },
    protocols: { own: () => ['/peerglass/own'], of: (peerId) => [`/peerglass/${peerId}`] },
    ...small,
  });
}

const idsOf = async (members: ClosestMembers, key: string, count = 20) =>
  (await members.find(key, count)).map(({ peerId }) => peerId);

describe('ClosestMembers', () => {
  it('orders members by the XOR distance of their Kademlia IDs, this node among them', async () => {
    const peers = await newPeers(30);
    const [self] = peers;
    assert.ok(self);
    const distance = (peer: DhtPeer, target: number) =>
      (Buffer.from(kadIdOf(peer.id)).readUInt32BE(0) ^ target) >>> 0;
    for (let i = 0; i < 20; i++) {
      const key = `sha256:${String(i)}`;
      const { target } = routingKey(key);
      const ranked = peers.toSorted((a, b) => distance(a, target) - distance(b, target));
      const expected = ranked.map(({ text }) => text);
      assert.deepEqual(await idsOf(seenBy(self, peers), key, 30), expected);
      assert.deepEqual(await idsOf(seenBy(self, peers), key, 3), expected.slice(0, 3));
    }
  });

  it('gives the same order in each node, also for members at the same distance', async () => {
    const prefix = 7;
    const peers = (await newPeers(5)).map((peer) => ({ ...peer, prefix }));
    const [first] = peers;
    assert.ok(first);
    const order = await idsOf(seenBy(first, peers), 'key', 2);
    for (const self of peers) {
      assert.deepEqual(await idsOf(seenBy(self, peers.toReversed()), 'key', 2), order);
    }
  });

  it('names origins and protocols, without origins for a member that cannot be reached', async () => {
    const [self, live, absent] = await newPeers(3);
    assert.ok(self && live && absent);
    const seen = seenBy(self, [self, live, absent], new Set([absent.text]));
    const members = await seen.find('key', 3);
    const member = ({ text }: DhtPeer) => members.find(({ peerId }) => peerId === text);
    assert.deepEqual(member(self), {
      peerId: self.text,
      origins: [`http://${self.text}`],
      protocols: ['/peerglass/own'],
      isSelf: true,
    });
    const protocols = (peer: DhtPeer) => [`/peerglass/${peer.text}`];
    assert.deepEqual(member(live), {
      peerId: live.text,
      origins: [`http://${live.text}`],
      protocols: protocols(live),
      isSelf: false,
    });
    assert.deepEqual(member(absent)?.origins, []);
  });

  it('follows the members', async () => {
    const [self, a, b] = await newPeers(3);
    assert.ok(self && a && b);
    let others: readonly DhtPeer[] = [a];
    const members = new ClosestMembers({
      lookupKeys: new LookupKeys(),
      self,
      membership: { members: () => others },
      view: { self: () => undefined, locate: () => undefined },
      protocols: { own: () => [], of: () => [] },
      ...small,
    });
    assert.equal((await members.find('key', 20)).length, 2);
    others = [a, b];
    assert.equal((await members.find('key', 20)).length, 3);
  });

  it('looks up the members of a network that is too large to know', async () => {
    const peers = await newPeers(30);
    const [self, ...others] = peers;
    assert.ok(self);
    let known: readonly DhtPeer[] = others.slice(0, 3);
    const members = new ClosestMembers({
      lookupKeys: new LookupKeys(),
      self,
      membership: { members: () => known },
      view: { self: () => undefined, locate: () => undefined },
      protocols: { own: () => [], of: () => [] },
      scale: { isLarge: true },
      nodeLookup: {
        find: () => {
          known = others;
          return Promise.resolve([]);
        },
      },
    });
    assert.deepEqual(await idsOf(members, 'key', 5), await idsOf(seenBy(self, peers), 'key', 5));
  });

  it('answers with what it knows when the look-up does not end, and not after an abort', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const [self, other] = await newPeers(2);
    assert.ok(self && other);
    const members = new ClosestMembers({
      lookupKeys: new LookupKeys(),
      self,
      membership: { members: () => [other] },
      view: { self: () => undefined, locate: () => undefined },
      protocols: { own: () => [], of: () => [] },
      scale: { isLarge: true },
      nodeLookup: { find: () => new Promise(() => undefined) },
    });
    const found = members.find('key', 20);
    t.mock.timers.tick(2000);
    assert.equal((await found).length, 2);
    await assert.rejects(members.find('key', 20, AbortSignal.abort()), { name: 'AbortError' });
  });
});
