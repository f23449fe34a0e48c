import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import { ConnectionClosedError } from '@libp2p/interface';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';

import { randomPeers } from '../../testing/announcements.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { DHT_PROTOCOL } from '../node/libp2p-node.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer, type DhtPeer } from '../node/membership.ts';
import { PeerDialer, withPeerId } from './peer-dialer.ts';
import { AddressPolicy } from '../node/address-policy.ts';

const { signal } = new AbortController();

let near: RoutingNode;
let far: RoutingNode;
let address: Multiaddr;
/** Of a node on loopback, which dials loopback addresses. */
let dialer: PeerDialer;

async function start(t: TestContext): Promise<void> {
  near = await startRoutingNode(t, '127.0.0.57');
  far = await startRoutingNode(t, '127.0.0.58');
  const [listening] = far.services.listening.addresses();
  assert.ok(listening);
  address = listening;
  dialer = new PeerDialer(near, { allows: () => true });
}

const open = (peer: DhtPeer, protocol = DHT_PROTOCOL) => dialer.open(peer, protocol, signal);

describe('PeerDialer', () => {
  beforeEach((t) => start(t as TestContext));

  it('opens a stream over the connection that is there, whatever addresses are named', async () => {
    const connection = await near.dial(address);
    const stream = await open(dhtPeer(far.peerId, [multiaddr('/ip4/127.0.0.59/tcp/1')]));
    assert.ok(connection.streams.includes(stream));
    assert.equal(stream.protocol, DHT_PROTOCOL);
    assert.equal(near.getConnections().length, 1);
  });

  it('connects at an address that was named', async () => {
    await open(dhtPeer(far.peerId, [multiaddr('/ip4/127.0.0.59/tcp/1'), address]));
    assert.deepEqual(
      near.getConnections().map(({ remotePeer }) => remotePeer.toString()),
      [far.peerId.toString()],
    );
  });

  it('does not take another peer for the one that was named there', async () => {
    const [stranger] = await randomPeers(1);
    assert.ok(stranger);
    for (const named of [address, withPeerId(address, far.peerId.toString())]) {
      await assert.rejects(open({ ...stranger, multiaddrs: [named] }));
    }
  });

  it('rejects when the peer does not speak the protocol', async () => {
    await near.dial(address);
    const opened = open(dhtPeer(far.peerId), '/peerglass/none/1.0.0');
    await assert.rejects(opened, { name: 'UnsupportedProtocolError' });
  });

  // Seen after a restart of a peer: its muxer was closed, and libp2p still listed the connection as open.
  it('replaces a connection that is dead but listed as open', async () => {
    const connection = await near.dial(address);
    connection.newStream = () => Promise.reject(new ConnectionClosedError('the muxer is closed'));
    const stream = await open(dhtPeer(far.peerId, [address]));
    assert.equal(stream.status, 'open');
    assert.notEqual(connection.status, 'open');
    assert.ok(!near.getConnections().includes(connection));
  });

  it('keeps the connection after any other failure, and when it is aborted', async () => {
    const connection = await near.dial(address);
    connection.newStream = () => Promise.reject(new Error('too many streams'));
    await assert.rejects(open(dhtPeer(far.peerId)), /too many streams/);
    connection.newStream = () => Promise.reject(new ConnectionClosedError('the muxer is closed'));
    const aborted = dialer.open(dhtPeer(far.peerId), DHT_PROTOCOL, AbortSignal.abort());
    await assert.rejects(aborted);
    assert.equal(connection.status, 'open');
  });

  it('dials no address of a stranger at which no node can be, and few of many', async (t) => {
    const dial = t.mock.method(near, 'dialProtocol', () => Promise.reject(new Error('dialled')));
    const [stranger] = await randomPeers(1);
    assert.ok(stranger);
    const elsewhere = new PeerDialer(near, new AddressPolicy({ loopback: () => false }));
    const dialled = async (addresses: readonly string[]): Promise<string[]> => {
      const peer = { ...stranger, multiaddrs: addresses.map((text) => multiaddr(text)) };
      await assert.rejects(elsewhere.open(peer, DHT_PROTOCOL, signal), /dialled/);
      const [targets] = dial.mock.calls.at(-1)?.arguments ?? [];
      return Array.isArray(targets) ? targets.map(String) : [];
    };
    const right = '/ip4/10.0.0.9/tcp/5001';
    const wrong = ['/ip4/169.254.169.254/tcp/80', '/ip4/127.0.0.1/tcp/22', '/dns4/node/tcp/5001'];
    assert.deepEqual(await dialled([...wrong, right]), [`${right}/p2p/${stranger.text}`]);
    const many = Array.from({ length: 9 }, (_, i) => `/ip4/10.0.0.${String(i + 1)}/tcp/5001`);
    assert.equal((await dialled(many)).length, 4);
  });

  it('names the peer in an address once', () => {
    const [text, id] = [String(address), far.peerId.toString()];
    const named = withPeerId(address, id);
    assert.equal(String(named), `${text}/p2p/${id}`);
    assert.equal(String(withPeerId(named, id)), String(named));
  });
});
