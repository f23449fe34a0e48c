import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FrameReader } from '../../routing/dht/frame-reader.ts';
import { frame } from '../../routing/dht/frames.ts';
import { DHT_PROTOCOL } from '../../routing/node/libp2p-node.ts';
import { BareNodes } from './bare-nodes.ts';

describe('SimulatedConnection', () => {
  it('opens streams in a round trip, and counts their bytes', async () => {
    using network = await BareNodes.start(2, (stream) => {
      stream.addEventListener('message', ({ data }) => stream.send(data));
    });
    const [one, other] = [network.at(0), network.at(1)];
    await network.during(10, one.dial(other.address));
    const before = one.traffic.bytes;
    const stream = await network.during(1, one.dialProtocol(other.peerId, DHT_PROTOCOL));
    // As measured with the real node, see `traffic.ts`.
    assert.equal(one.traffic.bytes - before, 99 + 129);
    const reader = new FrameReader(stream, 1000);
    stream.send(frame(new Uint8Array(100)));
    assert.equal((await network.during(1, reader.next()))?.length, 100);
    assert.equal(one.traffic.bytes - before, 99 + 129 + 2 * 131);
    assert.deepEqual(one.traffic.received, other.traffic.sent);
  });

  it('opens no stream of a protocol that the peer does not serve, and none when it has ended', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    await network.during(10, one.dial(other.address));
    const refused = network.during(10, one.dialProtocol(other.peerId, '/none'));
    await assert.rejects(refused, { name: 'UnsupportedProtocolError' });
    const [connection] = one.connections();
    assert.ok(connection);
    await connection.close();
    await assert.rejects(connection.newStream(DHT_PROTOCOL), { name: 'ConnectionClosedError' });
    await network.links.clock.run(1);
    assert.equal(other.connectionCount, 0);
  });

  it('bounds the inbound streams of a protocol', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    let served = 0;
    const serve = (): void => {
      served++;
    };
    await other.handle('/test', serve, { maxInboundStreams: 2 });
    await network.during(10, one.dial(other.address));
    const opened = [1, 2, 3].map(() => one.dialProtocol(other.peerId, '/test'));
    const streams = await network.during(10, Promise.allSettled(opened));
    assert.equal(served, 2);
    assert.equal(one.connections()[0]?.streams.length, 2);
    assert.equal(streams[0]?.status, 'fulfilled');
  });

  it('ends its streams with it', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    await network.during(10, one.dial(other.address));
    const stream = await network.during(1, one.dialProtocol(other.peerId, DHT_PROTOCOL));
    const reader = new FrameReader(stream, 1000);
    other.connections()[0]?.abort(new Error('the peer is gone'));
    await assert.rejects(network.during(1, reader.next()), /the connection was reset/);
    assert.equal(stream.status, 'reset');
  });
});
