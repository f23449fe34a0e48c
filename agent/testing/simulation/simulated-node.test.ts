import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { IdentifyResult, PeerId } from '@libp2p/interface';

import { DHT_PROTOCOL } from '../../routing/node/libp2p-node.ts';
import { BareNodes } from './bare-nodes.ts';
import { DIAL } from './traffic.ts';

describe('SimulatedNode', () => {
  it('identifies its peers: first topologies hear of it, then listeners', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    const log: string[] = [];
    await other.handle('/test', () => undefined);
    await one.register('/test', { onConnect: () => void log.push('topology') });
    await one.register('/unknown', { onConnect: () => assert.fail('it does not speak it') });
    let identified: IdentifyResult | undefined;
    one.addEventListener('peer:connect', () => log.push('connect'));
    one.addEventListener('peer:identify', (event) => {
      log.push('identify');
      identified = (event as CustomEvent<IdentifyResult>).detail;
    });
    await network.during(10, one.dial(other.address));
    assert.deepEqual(log, ['connect', 'topology', 'identify']);
    assert.equal(identified?.peerId, other.peerId);
    assert.deepEqual(identified.listenAddrs.map(String), ['/ip4/10.0.0.2/tcp/5001']);
    assert.equal(String(identified.observedAddr), '/ip4/10.0.0.1/tcp/40000');
    assert.ok((await one.peerStore.get(other.peerId)).protocols.includes('/test'));
    assert.deepEqual(other.getPeers(), [one.peerId]);
  });

  it('tells topologies and listeners when the last connection with a peer has ended', async () => {
    using network = await BareNodes.start(2);
    const [one, other] = [network.at(0), network.at(1)];
    const left: unknown[] = [];
    const id = await one.register(DHT_PROTOCOL, { onDisconnect: (peer) => void left.push(peer) });
    one.addEventListener('peer:disconnect', (event) => {
      left.push((event as CustomEvent<PeerId>).detail);
    });
    await network.during(10, Promise.all([one.dial(other.address), other.dial(one.address)]));
    assert.equal(one.connectionCount, 2);
    one.connections()[0]?.abort(new Error('one of two'));
    await network.links.clock.run(10);
    assert.equal(left.length, 0);
    one.unregister(id);
    await other.stop();
    await network.links.clock.run(10);
    assert.deepEqual(left, [other.peerId]);
    assert.equal(one.connectionCount, 0);
    assert.deepEqual(other.getMultiaddrs(), []);
  });

  it('counts what a real dial costs', async () => {
    using network = await BareNodes.start(2);
    await network.during(10, network.at(0).dial(network.at(1).address));
    const { sent, received, dials, mostConnections } = network.at(0).traffic;
    assert.deepEqual([sent, received], [DIAL.dialler, DIAL.listener]);
    assert.deepEqual([dials, mostConnections], [1, 1]);
    assert.deepEqual(network.at(1).traffic.received, sent);
  });
});
