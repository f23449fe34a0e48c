import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DHT_PROTOCOL } from '../../routing/node/libp2p-node.ts';
import { BareNodes } from './bare-nodes.ts';

describe('SimulatedLinks', () => {
  it('break at the others when a process ends, after the time of an RST', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    await network.during(10, one.dial(other.address));
    network.links.kill(other);
    await network.links.clock.run(0.4);
    assert.equal(one.connectionCount, 1);
    await network.links.clock.run(0.2);
    assert.equal(one.connectionCount, 0);
    await assert.rejects(network.during(10, one.dial(other.address)), /ECONNREFUSED/);
  });

  it('break late when a host vanishes, unless bytes are under way to it', async () => {
    using network = await BareNodes.start(3);
    const [one, other, writer] = [network.at(0), network.at(1), network.at(2)];
    await network.during(10, Promise.all([one.dial(other.address), writer.dial(other.address)]));
    const stream = await network.during(1, writer.dialProtocol(other.peerId, DHT_PROTOCOL));
    network.links.partition(other);
    stream.send(new Uint8Array(10));
    await network.links.clock.run(14_000);
    assert.deepEqual([one.connectionCount, writer.connectionCount], [1, 1]);
    await network.links.clock.run(2000);
    assert.deepEqual([one.connectionCount, writer.connectionCount], [0, 1]);
    assert.equal(other.traffic.received.bytes < writer.traffic.sent.bytes, false);
  });
});
