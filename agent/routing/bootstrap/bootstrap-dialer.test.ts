import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';
import { pino, type Logger } from 'pino';

import { until } from '../../testing/conformance/router.ts';
import { addressOf, startRoutingNode } from '../../testing/routing-node.ts';
import { AddressBook } from '../node/address-book.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { BootstrapDialer } from './bootstrap-dialer.ts';

const noSignal = new AbortController().signal;
const peerAt = (...addresses: string[]) => ({ multiaddrs: addresses.map((it) => multiaddr(it)) });

let warnings: string[];
let logger: Logger;

beforeEach(() => {
  warnings = [];
  logger = pino(
    { level: 'warn' },
    { write: (line) => warnings.push((JSON.parse(line) as { msg: string }).msg) },
  );
});

describe('BootstrapDialer', () => {
  it('connects with the peers that can be reached, and returns the others with the reason', async (t) => {
    const [node, peer] = [
      await startRoutingNode(t, '127.0.0.40'),
      await startRoutingNode(t, '127.0.0.41'),
    ];
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), logger });
    const dead = '/ip4/127.0.1.1/tcp/9';
    const unreached = await dialer.connect([peerAt(dead), peerAt(addressOf(peer))], noSignal);
    assert.equal(unreached.length, 1);
    assert.match(unreached[0] ?? '', /^\/ip4\/127\.0\.1\.1\/tcp\/9: ./);
    assert.equal(node.getConnections(peer.peerId).length, 1);
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
    const dialer = new BootstrapDialer({ node, addressBook, logger });
    assert.deepEqual(await dialer.connect([peerAt(addressOf(peer))], noSignal), []);
    assert.equal(dial.mock.callCount(), 0);
  });

  it('knows this node by its peer ID or by all its addresses', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.40');
    const dialer = new BootstrapDialer({ node, addressBook: new AddressBook(), logger });
    const own = addressOf(node);
    const foreign = '/ip4/127.0.0.41/tcp/5001';
    assert.equal(dialer.isSelf(peerAt(own)), true);
    assert.equal(dialer.isSelf(peerAt(own, foreign)), false);
    assert.equal(dialer.isSelf({ ...peerAt(foreign), peerId: node.peerId.toString() }), true);
  });
});

/** Dials addresses that all lead to a node with our own identity; gives the warnings. */
async function warningsFor(addresses: readonly string[]): Promise<string[]> {
  const node = {
    peerId: 'me',
    getConnections: () => [],
    getPeers: () => [],
    dial: () => Promise.reject(new Error('Tried to dial self')),
  };
  const dialer = new BootstrapDialer({
    addressBook: new AddressBook(),
    node: node as unknown as RoutingNode,
    logger,
  });
  const unreached = await dialer.connect(
    addresses.map((it) => peerAt(it)),
    noSignal,
  );
  assert.deepEqual(unreached, []);
  return warnings;
}

describe('BootstrapDialer, when a peer has the identity of this node', () => {
  it('warns once about another host, with what to do', async () => {
    await warningsFor(['/ip4/192.0.2.1/tcp/5001', '/ip4/192.0.2.2/tcp/5001']);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /identity.*private\.key/);
  });

  it('does not warn about an address of this host', async () => {
    assert.deepEqual(await warningsFor(['/ip4/127.0.0.1/tcp/5001', '/dns4/node/tcp/5001']), []);
  });
});
