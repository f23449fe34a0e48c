import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { until } from '../../testing/conformance/router.ts';
import { SimulatedMembership, SimulatedNetwork } from '../../testing/simulated-network.ts';
import { bucketOf, closest, K } from '../dht/kademlia.ts';
import { silent } from '../../testing/test-network.ts';
import type { DhtPeer } from '../node/membership.ts';
import { NetworkScale } from './network-size.ts';
import { NodeLookup } from './node-lookup.ts';
import { Discovery } from './discovery.ts';

function createDiscovery(
  network: SimulatedNetwork,
  known: readonly DhtPeer[],
  maxConnections = 1000,
  isVerified: (peer: DhtPeer) => boolean = () => true,
) {
  const [self] = network.peers;
  assert.ok(self);
  const membership = new SimulatedMembership(known);
  const members = () => membership.members();
  const verified = () => members().filter(isVerified);
  const scale = new NetworkScale(self, { verified, members }, maxConnections);
  const nodeLookup = new NodeLookup({ client: network.client, membership, logger: silent });
  return { membership, discovery: new Discovery({ self, membership, scale, nodeLookup }) };
}

function start(t: TestContext, network: SimulatedNetwork, known: readonly DhtPeer[], max?: number) {
  const { membership, discovery } = createDiscovery(network, known, max);
  discovery.start(Promise.resolve());
  t.after(() => discovery.stop());
  return { discovery, membership };
}

describe('Discovery', () => {
  it('learns of all members from one', async (t) => {
    const network = await SimulatedNetwork.open(300);
    const { discovery, membership } = start(t, network, network.peers.slice(7, 8));
    await discovery.firstSweep;
    assert.equal(membership.members().length, 300);
  });

  it('learns of its neighbours and of some of each bucket where there are too many to know', async (t) => {
    const network = await SimulatedNetwork.open(1000);
    const { discovery, membership } = start(t, network, network.peers.slice(7, 8), 50);
    await discovery.firstSweep;
    const [self] = network.peers;
    assert.ok(self);
    const known = new Set(membership.members().map(({ text }) => text));
    const others = network.peers.filter((peer) => peer !== self);
    for (const { text } of closest(self.prefix, others, K)) assert.ok(known.has(text));
    const buckets = Map.groupBy(others, (peer) => Math.min(5, bucketOf(self, peer)));
    for (const [bucket, peers] of buckets) {
      const count = peers.filter(({ text }) => known.has(text)).length;
      assert.ok(
        count >= Math.min(10, peers.length),
        `${String(count)} of bucket ${String(bucket)}`,
      );
    }
    assert.ok(network.asked < 200, `${String(network.asked)} questions`);
  });

  it('looks for neighbours only until it has spoken with them, where there seem to be too many to know', async (t) => {
    const network = await SimulatedNetwork.open(1000);
    let haveSpoken = false;
    const isVerified = () => haveSpoken;
    const { discovery, membership } = createDiscovery(
      network,
      network.peers.slice(7, 8),
      50,
      isVerified,
    );
    discovery.start(Promise.resolve());
    t.after(() => discovery.stop());
    await delay(500);
    assert.ok(network.asked <= 24, `${String(network.asked)} questions`);
    haveSpoken = true;
    // A member less, as the list of members is made anew with each change.
    const [gone] = membership.members();
    assert.ok(gone);
    membership.markUnresponsive(gone);
    await discovery.firstSweep;
    assert.ok(network.asked < 200, `${String(network.asked)} questions`);
  });

  it('looks for all where the neighbours that were named do not exist', async (t) => {
    const network = await SimulatedNetwork.open(100);
    const [self, liar] = network.peers;
    assert.ok(self && liar);
    const crowd = (await SimulatedNetwork.open(1000)).peers;
    const invented = new Set(closest(self.prefix, crowd, 32).map(({ text }) => text));
    const isVerified = ({ text }: DhtPeer) => !invented.has(text);
    const { discovery, membership } = createDiscovery(network, [liar], 300, isVerified);
    membership.learn([...invented].map((peerId) => ({ peerId, multiaddrs: addressOf(network) })));
    discovery.start(Promise.resolve());
    t.after(() => discovery.stop());
    await delay(300);
    for (const peer of membership.members().filter(({ text }) => invented.has(text))) {
      membership.markUnresponsive(peer);
    }
    await discovery.firstSweep;
    assert.equal(membership.members().length, 100);
  });

  it('looks again when it meets the network late', async (t) => {
    const network = await SimulatedNetwork.open(50);
    const { discovery, membership } = start(t, network, []);
    await discovery.firstSweep;
    assert.equal(membership.members().length, 0);
    membership.learn([{ peerId: network.peers[3]?.text ?? '', multiaddrs: addressOf(network) }]);
    await until(() => membership.members().length === 50);
  });

  it('pauses after the first sweep, in which the network grew', async (t) => {
    const network = await SimulatedNetwork.open(50);
    const { discovery } = start(t, network, network.peers.slice(7, 8));
    await discovery.firstSweep;
    const { asked } = network;
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(network.asked, asked);
  });

  it('sweeps more and more seldom although a peer names ever new ones that do not exist', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const network = await SimulatedNetwork.open(2);
    const liar = network.peers[1];
    const invented = (await SimulatedNetwork.open(100)).peers.map(({ text }) => text);
    let named = 0;
    let asked = 0;
    network.client.findNode = ({ text }) => {
      if (text !== liar?.text) return Promise.reject(new Error('no answer'));
      asked += 1;
      const peers = invented.slice(named, ++named);
      return Promise.resolve(peers.map((peerId) => ({ peerId, multiaddrs: addressOf(network) })));
    };
    start(t, network, network.peers.slice(1));
    for (let second = 0; second < 40; second++) {
      // The pauses within a sweep are real ones.
      await delay(30);
      t.mock.timers.tick(1000);
    }
    assert.ok(asked <= 20, String(asked));
  });

  it('stops while the first peers are awaited', async () => {
    const network = await SimulatedNetwork.open(1);
    const { discovery } = createDiscovery(network, []);
    discovery.start(new Promise(() => undefined));
    const stopped = discovery.stop().then(() => true);
    const late = new Promise((resolve) => setTimeout(resolve, 200, false));
    assert.equal(await Promise.race([stopped, late]), true);
  });

  it('stops in the middle of a sweep', async (t) => {
    const network = await SimulatedNetwork.open(300);
    const { discovery } = start(t, network, network.peers.slice(7, 8));
    await until(() => network.asked > 0);
    await discovery.stop();
    const { asked } = network;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(network.asked, asked);
  });
});

const addressOf = (network: SimulatedNetwork) => {
  const membership = new SimulatedMembership(network.peers.slice(0, 1));
  return membership.members()[0]?.multiaddrs ?? [];
};
