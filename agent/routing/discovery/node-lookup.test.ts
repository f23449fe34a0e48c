import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Seeded } from '../../testing/seeded.ts';
import { SimulatedMembership, SimulatedNetwork } from '../../testing/simulated-network.ts';
import { silent } from '../../testing/test-network.ts';
import { targetOf } from '../dht/key.ts';
import type { DhtPeer } from '../node/membership.ts';
import { NodeLookup } from './node-lookup.ts';

const random = new Seeded('node look-up');
const { signal } = new AbortController();

function lookupFrom(network: SimulatedNetwork, known: readonly DhtPeer[]) {
  const membership = new SimulatedMembership(known);
  return {
    membership,
    lookup: new NodeLookup({ client: network.client, membership, logger: silent }),
  };
}

const textsOf = (peers: readonly DhtPeer[]) => peers.map(({ text }) => text);

describe('NodeLookup', () => {
  it('finds the 20 closest of 1,000 peers from one that is known, in a dozen questions', async () => {
    const network = await SimulatedNetwork.open(1000);
    for (let round = 0; round < 10; round++) {
      const { lookup } = lookupFrom(network, network.peers.slice(round, round + 1));
      const key = random.bytes();
      network.asked = 0;
      const peers = await lookup.find(key, signal);
      assert.deepEqual(textsOf(peers), textsOf(network.closestTo(targetOf(key))));
      assert.ok(network.asked <= 16, String(network.asked));
    }
  });

  it('passes over peers that do not answer, and forgets them', async () => {
    const network = await SimulatedNetwork.open(100);
    const key = random.bytes();
    const [nearest, second] = network.closestTo(targetOf(key));
    assert.ok(nearest && second);
    const { lookup, membership } = lookupFrom(network, network.peers);
    network.dead.add(nearest.text).add(second.text);
    const peers = await lookup.find(key, signal);
    assert.deepEqual(textsOf(peers), textsOf(network.closestTo(targetOf(key))));
    assert.equal(membership.members().length, 98);
  });

  it('finds nothing without a member', async () => {
    const network = await SimulatedNetwork.open(1);
    const { lookup } = lookupFrom(network, []);
    assert.deepEqual(await lookup.find(random.bytes(), signal), []);
  });

  it('is not led on without end by a peer that names ever closer ones', async () => {
    const network = await SimulatedNetwork.open(200);
    const { lookup } = lookupFrom(network, network.peers.slice(0, 1));
    const { findNode } = network.client;
    const liar = await SimulatedNetwork.open(2000);
    let asked = 0;
    network.client.findNode = async (peer, key) => {
      asked += 1;
      const isOurs = network.peers.some(({ text }) => text === peer.text);
      const invented = liar.closestTo(targetOf(key)).slice(-asked, liar.peers.length);
      const named = invented.map(({ text }) => ({
        peerId: text,
        multiaddrs: peer.multiaddrs ?? [],
      }));
      return isOurs ? [...(await findNode(peer, key)), ...named].slice(-20) : named;
    };
    await lookup.find(random.bytes(), signal);
    assert.ok(asked <= 27, String(asked));
  });
});
