import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';

import { until } from '../../testing/conformance/router.ts';
import { addressOf, startRoutingNode } from '../../testing/routing-node.ts';
import { AddressBook } from '../node/address-book.ts';
import { AddressPolicy } from '../node/address-policy.ts';
import { BootstrapDialer } from './bootstrap-dialer.ts';

const policy = { allows: () => true, configure: () => undefined };

const noSignal = new AbortController().signal;
const otherId = async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
const peerAt = (...addresses: string[]) => ({ multiaddrs: addresses.map((it) => multiaddr(it)) });

describe('BootstrapDialer', () => {
  it('connects with the peers that can be reached, and returns the others with the reason', async (t) => {
    const [node, peer] = [
      await startRoutingNode(t, '127.0.0.40'),
      await startRoutingNode(t, '127.0.0.41'),
    ];
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), policy });
    const dead = '/ip4/127.0.1.1/tcp/9';
    const unreached = await dialer.connect([peerAt(dead), peerAt(addressOf(peer))], noSignal);
    assert.equal(unreached.length, 1);
    assert.match(unreached[0] ?? '', /^\/ip4\/127\.0\.1\.1\/tcp\/9: ./);
    assert.equal(node.getConnections(peer.peerId).length, 1);
  });

  it('dials no more peers than it wants, and others in the place of those that fail', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.40');
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), policy });
    let connected = 0;
    t.mock.method(node, 'getPeers', () => Array.from({ length: connected }, () => node.peerId));
    let dialled = 0;
    t.mock.method(node, 'dial', async () => {
      dialled += 1;
      // The first one succeeds at once, and the seven beside it fail later.
      if (dialled > 1 && dialled <= 8) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        throw new Error('refused');
      }
      connected += 1;
    });
    const peers = Array.from({ length: 200 }, (_, i) =>
      peerAt(`/ip4/10.0.0.${String(i)}/tcp/5001`),
    );
    const unreached = await dialer.connect(peers, noSignal);
    assert.deepEqual([connected, unreached.length, dialled], [8, 7, 15]);
    dialled = 8;
    await dialer.connect(peers, noSignal);
    assert.equal(dialled, 10, 'so that parts of a divided network meet again');
  });

  it('dials no loopback address, metadata service or host name that a node has named', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.40');
    const dialled: string[] = [];
    t.mock.method(node, 'dial', (addresses: Multiaddr[]) => {
      dialled.push(...addresses.map(String));
      return Promise.resolve();
    });
    const strict = new AddressPolicy({ loopback: () => false, interfaces: () => [] });
    const configure = t.mock.method(strict, 'configure');
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), policy: strict });
    const named = peerAt(
      '/ip4/127.0.0.1/tcp/5002',
      '/ip6/::1/tcp/5002',
      '/ip4/169.254.169.254/tcp/80',
      '/ip4/100.100.100.200/tcp/80',
      '/ip6/64:ff9b::a9fe:a9fe/tcp/80',
      '/dns4/kubernetes.default/tcp/443',
      '/ip4/10.0.0.7/tcp/5001',
    );
    await dialer.connect([{ ...named, isNamedByNode: true }], noSignal);
    assert.deepEqual(dialled, ['/ip4/10.0.0.7/tcp/5001']);
    assert.equal(configure.mock.callCount(), 0);
  });

  it('does not dial an address at which no node can be', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.40');
    const dial = t.mock.method(node, 'dial');
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), policy });
    const metadata = '/ip4/169.254.169.254/tcp/80';
    assert.deepEqual(await dialer.connect([peerAt(metadata)], noSignal), [
      `${metadata}: no node can be at this address`,
    ]);
    assert.equal(dial.mock.callCount(), 0);
  });

  it('does not dial a peer that has connected with this node from another port', async (t) => {
    const [node, peer] = [
      await startRoutingNode(t, '127.0.0.40'),
      await startRoutingNode(t, '127.0.0.41'),
    ];
    const addressBook = new AddressBook();
    await peer.dial(multiaddr(addressOf(node)));
    await until(() => node.getPeers().length === 1);
    const id = peer.peerId.toMultihash().bytes;
    addressBook.set(peer.peerId.toString(), id, [multiaddr(addressOf(peer)).bytes]);
    const dial = t.mock.method(node, 'dial');
    const dialer = new BootstrapDialer({ node, addressBook, policy });
    assert.deepEqual(await dialer.connect([peerAt(addressOf(peer))], noSignal), []);
    assert.equal(dial.mock.callCount(), 0);
  });

  it('knows this node by all its addresses, and no other by its peer ID', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.40');
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), policy });
    const own = addressOf(node);
    const foreign = '/ip4/127.0.0.41/tcp/5001';
    assert.equal(dialer.isSelf(peerAt(own)), true);
    assert.equal(dialer.isSelf(peerAt(own, foreign)), false);
    const peerId = node.peerId.toString();
    assert.equal(dialer.isSelf({ ...peerAt(own), peerId }), true);
    assert.equal(dialer.isSelf({ ...peerAt(foreign), peerId }), false, 'it may be a duplicate');
    assert.equal(dialer.isSelf({ ...peerAt(own), peerId: (await otherId()).toString() }), false);
  });

  it('dials an address that is named with the peer ID of this node, and reports no failure', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.40');
    const dial = t.mock.method(node, 'dial');
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), policy });
    const dead = { ...peerAt('/ip4/127.0.1.1/tcp/9'), peerId: node.peerId.toString() };
    assert.deepEqual(await dialer.connect([dead], noSignal), []);
    assert.deepEqual(
      dial.mock.calls.map(({ arguments: [target] }) => String(target)),
      ['/ip4/127.0.1.1/tcp/9'],
    );
  });
});
