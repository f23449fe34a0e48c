import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { kadIdOf } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ClosestMembers } from './closest-members.ts';

const newPeers = (count: number): Promise<DhtPeer[]> =>
  Promise.all(
    Array.from({ length: count }, async () =>
      dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
    ),
  );

/** As the node `self` sees the peers: it cannot reach those that are `absent`. */
function seenBy(
  self: DhtPeer,
  peers: readonly DhtPeer[],
  absent: ReadonlySet<string> = new Set(),
): ClosestMembers {
  const provider = (peerId: string) => ({ peerId, origins: [`http://${peerId}`] });
  const others = peers.filter((peer) => peer !== self);
  return new ClosestMembers({
    self,
    membership: { members: () => others },
    view: {
      self: () => provider(self.text),
      locate: (peerId) => (absent.has(peerId) ? undefined : provider(peerId)),
    },
    protocols: { own: () => ['/peerglass/own'], of: (peerId) => [`/peerglass/${peerId}`] },
  });
}

const idsOf = (members: ClosestMembers, key: string, count = 20) =>
  members.find(key, count).map(({ peerId }) => peerId);

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
      assert.deepEqual(idsOf(seenBy(self, peers), key, 30), expected);
      assert.deepEqual(idsOf(seenBy(self, peers), key, 3), expected.slice(0, 3));
    }
  });

  it('gives the same order in each node, also for members at the same distance', async () => {
    const prefix = 7;
    const peers = (await newPeers(5)).map((peer) => ({ ...peer, prefix }));
    const [first] = peers;
    assert.ok(first);
    const order = idsOf(seenBy(first, peers), 'key', 2);
    for (const self of peers) {
      assert.deepEqual(idsOf(seenBy(self, peers.toReversed()), 'key', 2), order);
    }
  });

  it('names origins and protocols, without origins for a member that cannot be reached', async () => {
    const [self, live, absent] = await newPeers(3);
    assert.ok(self && live && absent);
    const members = seenBy(self, [self, live, absent], new Set([absent.text])).find('key', 3);
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
      self,
      membership: { members: () => others },
      view: { self: () => undefined, locate: () => undefined },
      protocols: { own: () => [], of: () => [] },
    });
    assert.equal(members.find('key', 20).length, 2);
    others = [a, b];
    assert.equal(members.find('key', 20).length, 3);
  });
});
