import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { BareNodes } from './bare-nodes.ts';

describe('SimulatedDialer', () => {
  it('shares a dial, and does not dial a peer that is connected', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    const target = other.address.encapsulate(`/p2p/${other.peerId.toString()}`);
    const began = performance.now();
    const dials = await network.during(10, Promise.all([one.dial(target), one.dial([target])]));
    assert.equal(dials[0], dials[1]);
    assert.equal(await one.dial(other.peerId), dials[0]);
    assert.equal(one.traffic.dials, 1);
    assert.equal(
      other.connections()[0]?.timeline.open,
      Date.now() - (performance.now() - began) + 3,
    );
  });

  it('fails where no node listens, where another one does, and at itself', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    const dialled = (target: string) => network.during(10, one.dial(multiaddr(target)));
    await assert.rejects(dialled('/ip4/10.0.0.9/tcp/5001'), /ECONNREFUSED/);
    const wrong = `${String(other.address)}/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8`;
    await assert.rejects(dialled(wrong), /another peer/);
    await assert.rejects(dialled(String(one.address)), /dial self/);
    await assert.rejects(network.during(1, one.dial(other.peerId)), /no address/);
    assert.equal(one.connectionCount, 0);
  });

  it('waits in vain for a node off the network, at most as long as its caller', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    network.links.partition(other);
    const signal = AbortSignal.timeout(100);
    await assert.rejects(network.during(100, one.dial(other.address, { signal })), {
      name: 'TimeoutError',
    });
    await assert.rejects(network.during(10_000, one.dial(other.address)), /ETIMEDOUT/);
  });
});
