import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';

import { peerIdFromString } from '@libp2p/peer-id';

import { found, until } from '../../testing/conformance/router.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { TestNetwork } from '../../testing/test-network.ts';
import type { Libp2pRouter } from '../libp2p-router.ts';
import { DHT_PROTOCOL } from '../node/libp2p-node.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer, type DhtPeer } from '../node/membership.ts';
import { DhtClient } from './dht-client.ts';
import { peerBytes } from './kademlia.ts';
import { routingKey } from './key.ts';

const TIMEOUT_MS = 20_000;
const { multihash } = routingKey('key');

let network: TestNetwork;
let router: Libp2pRouter;
let other: Libp2pRouter;
let node: RoutingNode;
let client: DhtClient;
let peer: DhtPeer;

async function start(t: TestContext): Promise<void> {
  network = new TestNetwork();
  router = await network.start();
  other = await network.start([router]);
  node = await startRoutingNode(t, '127.0.0.98');
  const addresses = { current: () => node.services.listening.addresses() };
  client = new DhtClient(node, addresses as never, { allows: () => true });
  await node.dial(router.listening[0] ?? []);
  await until(() => router.status().peers === 2);
  peer = dhtPeer(peerIdFromString(router.peerId));
}

describe('DhtClient', () => {
  beforeEach((t) => start(t as TestContext));
  afterEach(async () => {
    client.stop();
    await network.stop();
  });

  it('provides keys, and asks for providers and closer peers', async () => {
    const sent = await client.addProviders(peer, [multihash], TIMEOUT_MS);
    assert.ok(sent > multihash.length);
    const ids = (await found(router, 'key')).map(({ peerId }) => peerId);
    assert.deepEqual(ids, [node.peerId.toString()]);
    const all = { isKnown: () => false };
    const { providers, closer, established } = await client.getProviders(
      peer,
      multihash,
      all,
      TIMEOUT_MS,
    );
    assert.deepEqual(
      providers.map(({ peerId }) => peerId),
      [node.peerId.toString()],
    );
    assert.deepEqual(
      closer.map(({ peerId }) => peerId),
      [other.peerId],
    );
    assert.equal(established, undefined, 'it was asked as by any node');
    const named = await client.findNode(peer, multihash, TIMEOUT_MS);
    assert.deepEqual(
      named.map(({ peerId }) => peerId),
      [other.peerId],
    );
  });

  it('leaves out closer peers that are known, and hears whether the peer has its records', async () => {
    const bytes = peerBytes(peerIdFromString(other.peerId).toMultihash().bytes);
    const question = { closerThan: 2 ** 32 - 1, isKnown: (id: string) => id === bytes };
    const { closer, established } = await client.getProviders(
      peer,
      multihash,
      question,
      TIMEOUT_MS,
    );
    assert.deepEqual([closer, established], [[], false]);
  });

  it('uses a stream again, and ends it when it stops', async () => {
    await client.ping(peer, TIMEOUT_MS);
    await client.ping(peer, TIMEOUT_MS);
    const streams = node
      .getConnections(peer.id)
      .flatMap((connection) => connection.streams)
      .filter(({ protocol, direction }) => protocol === DHT_PROTOCOL && direction === 'outbound');
    assert.equal(streams.length, 1);
    client.stop();
    await until(() => streams.every(({ status }) => status !== 'open'));
  });

  it('rejects when the peer does not answer in time, or the caller stops it', async (t) => {
    const silentNode = await startRoutingNode(t, '127.0.0.97');
    await node.dial(silentNode.services.listening.addresses());
    const silentPeer = dhtPeer(silentNode.peerId);
    await assert.rejects(client.ping(silentPeer, 200));
    const abort = new AbortController();
    const pinged = client.ping(silentPeer, TIMEOUT_MS, abort.signal);
    abort.abort();
    await assert.rejects(pinged);
  });
});
