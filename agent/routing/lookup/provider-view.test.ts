import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { AddressBook } from '../node/address-book.ts';
import { ProviderView } from './provider-view.ts';
import { AddressPolicy } from '../node/address-policy.ts';

const OWN = '/ip4/10.0.0.1/tcp/5001';

/** A view of the peers whose addresses are given, with the IPs of connections. */
function viewOf(
  announced: Readonly<Record<string, readonly string[]>>,
  connected: Readonly<Record<string, string>> = {},
  unresponsive: readonly string[] = [],
  contacts: ReadonlySet<string> = new Set(),
  scale = { isLarge: false },
) {
  const addressBook = new AddressBook();
  for (const [peerId, addresses] of Object.entries(announced)) {
    const multiaddrs = addresses.map((text) => multiaddr(text).bytes);
    addressBook.set(peerId, Buffer.from(peerId), multiaddrs);
  }
  const connections = new Map(Object.entries(connected));
  const view = new ProviderView(
    {
      records: { providers: () => ['me', ...Object.keys(announced), 'unknown'] },
      addressBook,
      membership: {
        connectedIp: (peerId) => connections.get(peerId),
        isContact: (peerId) => contacts.has(peerId),
        isUnresponsive: (peerId) => unresponsive.includes(peerId),
      },
      addresses: { current: () => [multiaddr(OWN)] },
      policy: new AddressPolicy({ loopback: () => false }),
      scale,
    },
    { ownPeerId: 'me', registryPort: 5000 },
  );
  return { view, connections };
}

const registry = (ip: string) => `/ip4/${ip}/tcp/6000/http`;

describe('ProviderView', () => {
  it('names the providers of a record with a known address, without this node', () => {
    const { view } = viewOf({ a: [registry('10.0.0.7')], me: [OWN] });
    assert.deepEqual(view.recorded('key'), [{ peerId: 'a', origins: ['http://10.0.0.7:6000'] }]);
  });

  it('prefers the addresses that a provider announces to those that another peer names', () => {
    const { view } = viewOf({ a: [registry('10.0.0.7')] });
    const named = view.named([
      { peerId: 'a', multiaddrs: [multiaddr(registry('10.6.6.6'))] },
      { peerId: 'b', multiaddrs: [multiaddr(registry('10.0.0.8'))] },
      { peerId: 'me', multiaddrs: [multiaddr(OWN)] },
    ]);
    assert.deepEqual(named, [
      { peerId: 'a', origins: ['http://10.0.0.7:6000'] },
      { peerId: 'b@10.0.0.8:6000', origins: ['http://10.0.0.8:6000'] },
    ]);
  });

  it('keeps apart where a peer is and where others say that it is: a block of one is none of the other', () => {
    const honest = [registry('10.0.0.8')];
    const stolen = { peerId: 'honest', multiaddrs: [multiaddr(registry('10.6.6.6'))] };
    const [claim] = viewOf({}).view.named([stolen]);
    const { view } = viewOf({ honest }, { honest: '10.0.0.8' });
    const [itself] = view.named([stolen]);
    assert.deepEqual(itself, { peerId: 'honest', origins: ['http://10.0.0.8:6000'] });
    assert.notEqual(claim?.peerId, itself.peerId);
    assert.ok(claim !== undefined && view.isPresent(claim));
  });

  it('locates connected peers that answer, and no others', () => {
    const announced = {
      a: [registry('10.0.0.7')],
      b: [registry('10.0.0.8')],
      c: [registry('10.0.0.9')],
    };
    const { view } = viewOf(announced, { a: '10.0.0.7', b: '10.0.0.8' }, ['b']);
    assert.deepEqual(view.locate('a'), { peerId: 'a', origins: ['http://10.0.0.7:6000'] });
    for (const peerId of ['b', 'c', 'unknown']) assert.equal(view.locate(peerId), undefined);
  });

  it('expects connected peers and contacts to be reachable, unless they do not answer', () => {
    const contacts = new Set(['c', 'd']);
    const { view } = viewOf({}, { a: '10.0.0.7', b: '10.0.0.8' }, ['b', 'd'], contacts);
    const present = ['a', 'b', 'c', 'd', 'e'].filter((peerId) =>
      view.isPresent({ peerId, origins: [] }),
    );
    assert.deepEqual(present, ['a', 'c']);
    assert.equal(view.locate('c'), undefined, 'nothing is known of its registry');
  });

  it('expects any peer of a large network to be reachable, unless it does not answer', () => {
    const scale = { isLarge: true };
    const { view } = viewOf({}, { a: '10.0.0.7', b: '10.0.0.8' }, ['b', 'd'], new Set(), scale);
    const isPresent = (peerId: string) => view.isPresent({ peerId, origins: [] });
    const peers = ['a', 'b', 'unknown', 'd'];
    assert.deepEqual(peers.filter(isPresent), ['a', 'unknown']);
    scale.isLarge = false;
    assert.deepEqual(peers.filter(isPresent), ['a']);
  });

  it('puts the IP of the connection first, also of one that comes later', () => {
    const addresses = [registry('172.17.0.1'), registry('10.0.0.7')];
    const { view, connections } = viewOf({ a: addresses });
    const [first] = view.recorded('key');
    assert.equal(first?.origins[0], 'http://172.17.0.1:6000');
    assert.equal(view.recorded('key')[0], first, 'made once for an entry of the address book');
    connections.set('a', '10.0.0.7');
    assert.equal(view.recorded('key')[0]?.origins[0], 'http://10.0.0.7:6000');
  });

  it('accepts origins at which the policy allows a node', () => {
    const { view } = viewOf({});
    assert.equal(view.accepts('http://10.0.0.7:5000'), true);
    for (const origin of ['http://127.0.0.1:5000', 'http://169.254.169.254:80', 'http://node:1']) {
      assert.equal(view.accepts(origin), false, origin);
    }
  });

  it('names this node as its peers see it', () => {
    const { view } = viewOf({});
    assert.deepEqual(view.self(), { peerId: 'me', origins: ['http://10.0.0.1:5000'] });
  });
});
