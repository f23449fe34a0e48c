import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { until } from '../../testing/conformance/router.ts';
import { SimulatedMembership, SimulatedNetwork } from '../../testing/simulated-network.ts';
import { silent } from '../../testing/test-network.ts';
import type { DhtPeer } from '../node/membership.ts';
import { Discovery } from './discovery.ts';

function start(t: TestContext, network: SimulatedNetwork, known: readonly DhtPeer[]) {
  const [self] = network.peers;
  assert.ok(self);
  const membership = new SimulatedMembership(known);
  const discovery = new Discovery({ self, client: network.client, membership, logger: silent });
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
    const [self] = network.peers;
    assert.ok(self);
    const membership = new SimulatedMembership([]);
    const discovery = new Discovery({ self, client: network.client, membership, logger: silent });
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
