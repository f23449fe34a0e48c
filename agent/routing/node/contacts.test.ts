import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import type { AddressedPeer } from './address-book.ts';
import { Contacts } from './contacts.ts';

const FAILED_MS = 60_000;

async function newPeer(address = '/ip4/10.0.0.7/tcp/5001'): Promise<AddressedPeer> {
  const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
  return { peerId, multiaddrs: [multiaddr(address)] };
}

const ids = (contacts: Contacts) => contacts.peers().map(({ text }) => text);

describe('Contacts', () => {
  it('have each peer once, with the addresses that were named first', async () => {
    const contacts = new Contacts();
    const a = await newPeer();
    assert.equal(contacts.add([a, a, await newPeer()]), 2);
    assert.equal(contacts.add([{ ...a, multiaddrs: [multiaddr('/ip4/10.6.6.6/tcp/1')] }]), 0);
    const [contact] = contacts.peers().filter(({ text }) => text === a.peerId);
    assert.deepEqual(contact?.multiaddrs?.map(String), ['/ip4/10.0.0.7/tcp/5001']);
  });

  it('leave out peers without an address', async () => {
    const contacts = new Contacts();
    assert.equal(contacts.add([{ ...(await newPeer()), multiaddrs: [] }]), 0);
    assert.deepEqual(contacts.peers(), []);
  });

  it('know when a peer answered first, not when it was named', async (t) => {
    let now = 5;
    t.mock.method(performance, 'now', () => now);
    const contacts = new Contacts();
    const a = await newPeer();
    contacts.add([a]);
    assert.equal(contacts.has(a.peerId), true);
    assert.equal(contacts.since(a.peerId), undefined);
    now = 700;
    contacts.answered(a.peerId);
    now = 900;
    contacts.add([a]);
    contacts.answered(a.peerId);
    assert.equal(contacts.since(a.peerId), 700);
    contacts.answered('12D3KooWunknown');
    assert.equal(contacts.since('12D3KooWunknown'), undefined);
  });

  it('do not take a peer again for a minute after it did not answer', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const contacts = new Contacts();
    const a = await newPeer();
    assert.equal(contacts.drop(a.peerId), false, 'it is no contact');
    assert.equal(contacts.add([a]), 1, 'and so has not failed');
    assert.equal(contacts.drop(a.peerId), true);
    assert.deepEqual(ids(contacts), []);
    now = FAILED_MS - 1;
    assert.equal(contacts.add([a]), 0);
    now = FAILED_MS;
    assert.equal(contacts.add([a]), 1);
  });

  it('take a peer at other addresses at once: one that names wrong ones does not keep the right ones out', async () => {
    const contacts = new Contacts();
    const a = await newPeer();
    const wrong = { ...a, multiaddrs: [multiaddr('/ip4/10.6.6.6/tcp/1')] };
    contacts.add([wrong]);
    contacts.drop(a.peerId);
    assert.equal(contacts.add([wrong]), 0);
    assert.equal(contacts.add([a]), 1);
    assert.deepEqual(contacts.peers()[0]?.multiaddrs?.map(String), ['/ip4/10.0.0.7/tcp/5001']);
  });

  it('take a peer again at once that was removed because it is connected', async () => {
    const contacts = new Contacts();
    const a = await newPeer();
    contacts.add([a]);
    contacts.delete(a.peerId);
    assert.deepEqual(ids(contacts), []);
    assert.equal(contacts.add([a]), 1);
  });

  it('take no more from one peer than an honest one knows, so that it cannot displace the others', async () => {
    const contacts = new Contacts();
    const invented = await Promise.all(Array.from({ length: 500 }, () => newPeer()));
    const [first, ...others] = invented;
    assert.ok(first);
    const source = { namedBy: 'liar' };
    contacts.add([first], source);
    assert.equal(contacts.add(others, source), 399);
    assert.equal(contacts.add(others, source), 0);
    assert.equal(contacts.add([await newPeer()], { namedBy: 'another' }), 1);
    contacts.drop(first.peerId);
    assert.equal(contacts.add(others, source), 1);
  });
});
