import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { ConnectionClosedError } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { until } from '../../testing/conformance/router.ts';
import { DhtClient } from './dht-client.ts';
import { createNode } from '../node/libp2p-node.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { Libp2pRouter } from '../libp2p-router.ts';
import { dhtPeer } from '../node/membership.ts';
import { TestNetwork } from '../../testing/test-network.ts';

const TIMEOUT_MS = 5000;

let network: TestNetwork;
let router: Libp2pRouter;
let node: RoutingNode;
let client: DhtClient;

beforeEach(async () => {
  network = new TestNetwork();
  router = await network.start();
  const made = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: () => undefined,
    listen: ['/ip4/127.0.0.98/tcp/0'],
  });
  await made.start();
  node = made.node;
  client = new DhtClient(node, { current: () => [] } as never);
  await node.dial(router.listening[0] ?? []);
  await until(() => router.status().peers === 1);
});

afterEach(async () => {
  client.stop();
  await node.stop();
  await network.stop();
});

describe('DhtClient', () => {
  // Seen after a restart of a peer: its muxer was closed, and libp2p still listed the connection as open.
  it('replaces a connection that is dead but listed as open', async () => {
    const [connection] = node.getConnections();
    assert.ok(connection);
    connection.newStream = () => Promise.reject(new ConnectionClosedError('the muxer is closed'));
    await client.ping(dhtPeer(connection.remotePeer), TIMEOUT_MS);
    assert.notEqual(connection.status, 'open');
    assert.ok(!node.getConnections().includes(connection));
  });

  it('keeps the connection after any other failure', async () => {
    const [connection] = node.getConnections();
    assert.ok(connection);
    connection.newStream = () => Promise.reject(new Error('too many streams'));
    await assert.rejects(
      client.ping(dhtPeer(connection.remotePeer), TIMEOUT_MS),
      /too many streams/,
    );
    assert.equal(connection.status, 'open');
  });

  it('dials no address of a stranger at which no node can be', async (t) => {
    const dial = t.mock.method(node, 'dialProtocol', () => Promise.reject(new Error('dialled')));
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const [right, ...wrong] = [
      '/ip4/10.0.0.9/tcp/5001',
      '/ip4/169.254.169.254/tcp/80',
      '/ip4/127.0.0.1/tcp/22',
      '/dns4/node/tcp/5001',
    ].map((text) => multiaddr(text));
    assert.ok(right !== undefined);
    const stranger = dhtPeer(id, [...wrong, right]);
    await assert.rejects(client.ping(stranger, TIMEOUT_MS), /dialled/);
    assert.deepEqual(
      dial.mock.calls.map(({ arguments: [targets] }) => String(targets)),
      [`${String(right)}/p2p/${id.toString()}`],
    );
  });

  it('takes no other peer for a stranger whose address names that other one', async (t) => {
    const [listening] = router.listening;
    assert.ok(listening);
    const onLoopback = new DhtClient(node, { current: () => [listening] } as never);
    t.after(() => {
      onLoopback.stop();
    });
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const stranger = dhtPeer(id, [listening.encapsulate(`/p2p/${router.peerId}`)]);
    await assert.rejects(onLoopback.ping(stranger, TIMEOUT_MS));
  });
});
