import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';

import { until } from '../../testing/conformance/router.ts';
import { AddressBook } from './address-book.ts';
import { AddressPolicy } from './address-policy.ts';
import { createNode, type RoutingNode } from './libp2p-node.ts';
import { PeerPlaces } from './peer-places.ts';

/** A node that listens at these addresses of loopback. */
async function startNode(t: TestContext, ...ips: readonly string[]) {
  const { node, start } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: () => undefined,
    listen: ips.map((ip) => `/ip4/${ip}/tcp/0`),
  });
  await start();
  t.after(() => node.stop());
  return { node, peerId: node.peerId.toString(), addresses: node.getMultiaddrs() };
}

/** What a node knows of the places of others. */
function placesOf(t: TestContext, node: RoutingNode) {
  const addressBook = new AddressBook();
  const policy = new AddressPolicy({ loopback: () => true });
  const addresses = { current: () => node.getMultiaddrs() };
  const places = new PeerPlaces({ node, addressBook, addresses, policy });
  places.start();
  t.after(() => {
    places.stop();
  });
  return { places, addressBook };
}

const originAt = (ip: string): string => `http://${ip}:5000`;

describe('PeerPlaces', () => {
  it('knows the IP of a connection, and asks nothing for it', async (t) => {
    const self = await startNode(t, '127.0.0.1');
    const { places } = placesOf(t, self.node);
    const peer = await startNode(t, '127.0.0.1');
    const connection = await self.node.dial(peer.addresses);
    assert.equal(places.confirm(peer.peerId, originAt('127.0.0.1')), undefined);
    await connection.close();
    // It was there a moment ago.
    assert.equal(places.confirm(peer.peerId, originAt('127.0.0.1')), undefined);
  });

  it('counts a connection that the peer has made', async (t) => {
    const self = await startNode(t, '127.0.0.1');
    const { places } = placesOf(t, self.node);
    const peer = await startNode(t, '127.0.0.1');
    await peer.node.dial(self.addresses);
    await until(() => self.node.getConnections().length > 0);
    assert.equal(places.confirm(peer.peerId, originAt('127.0.0.1')), undefined);
  });

  it('dials a peer that it is not connected with where it has announced itself', async (t) => {
    const self = await startNode(t, '127.0.0.1');
    const { places, addressBook } = placesOf(t, self.node);
    const peer = await startNode(t, '127.0.0.1');
    const multihash = peer.node.peerId.toMultihash().bytes;
    addressBook.set(
      peer.peerId,
      multihash,
      peer.addresses.map(({ bytes }) => bytes),
    );
    const proofs = [1, 2].map(() => places.confirm(peer.peerId, originAt('127.0.0.1')));
    assert.ok(proofs.every((it) => it !== undefined));
    await Promise.all(proofs);
    assert.equal(self.node.getConnections(peer.node.peerId).length, 1);
    assert.equal(places.confirm(peer.peerId, originAt('127.0.0.1')), undefined);
  });

  it('proves a further address of a connected peer, and keeps one connection', async (t) => {
    const self = await startNode(t, '127.0.0.1');
    const { places } = placesOf(t, self.node);
    const peer = await startNode(t, '127.0.0.1', '127.0.0.2');
    const isAt = (ip: string) => (address: unknown) => String(address).includes(`/${ip}/`);
    await self.node.dial(peer.addresses.filter(isAt('127.0.0.1')));
    places.named({ peerId: peer.peerId, multiaddrs: peer.addresses });
    await places.confirm(peer.peerId, originAt('127.0.0.2'));
    assert.equal(places.confirm(peer.peerId, originAt('127.0.0.2')), undefined);
    await until(() => self.node.getConnections(peer.node.peerId).length === 1);
    const [left] = self.node.getConnections(peer.node.peerId);
    assert.ok(isAt('127.0.0.1')(left?.remoteAddr));
  });

  it('finds another peer in its place, and nothing, and does not dial again at once', async (t) => {
    const self = await startNode(t, '127.0.0.1');
    const { places } = placesOf(t, self.node);
    const [absent, other] = [await startNode(t, '127.0.0.1'), await startNode(t, '127.0.0.3')];
    const named = other.addresses.map((it) => multiaddr(it.toString().replace(/\/p2p\/.*/, '')));
    places.named({ peerId: absent.peerId, multiaddrs: named });
    const confirm = (ip: string) => places.confirm(absent.peerId, originAt(ip));
    await assert.rejects(async () => confirm('127.0.0.3'), { isOther: true });
    await assert.rejects(async () => confirm('127.0.0.4'), { isOther: false });
    await other.node.stop();
    await assert.rejects(async () => confirm('127.0.0.3'), { isOther: true }, 'remembered');
    assert.equal(self.node.getConnections().length, 0);
  });

  it('takes an IPv6 address in any form, and dials none that the policy refuses', async (t) => {
    const self = await startNode(t, '127.0.0.1');
    const { places } = placesOf(t, self.node);
    const refused = places.confirm(self.peerId, 'http://169.254.169.254:80');
    await assert.rejects(async () => refused, /no address to dial/);
    await assert.rejects(async () => places.confirm(self.peerId, 'http://localhost:5000'));
  });
});
