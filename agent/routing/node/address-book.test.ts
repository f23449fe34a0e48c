import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { AddressBook, readAddress } from './address-book.ts';

const id = Buffer.from('an ID');
const binary = (...addresses: string[]) => addresses.map((text) => multiaddr(text).bytes);
const A = '/ip4/10.0.0.7/tcp/5001';
const B = '/ip6/fd00::7/tcp/5001';

function addressesOf(book: AddressBook, peerId = 'a'): string[] | undefined {
  return book.get(peerId)?.multiaddrs.map(String);
}

describe('AddressBook', () => {
  it('replaces the addresses of a peer by later ones', () => {
    const book = new AddressBook();
    book.set('a', id, binary(A));
    book.set('a', id, binary(B, A));
    assert.deepEqual(addressesOf(book), [B, A]);
    assert.equal(book.size, 1);
  });

  it('keeps the entry itself when an announcement changes nothing', () => {
    const book = new AddressBook();
    book.set('a', id, binary(A, B));
    const entry = book.get('a');
    book.set('a', id, binary(A, B));
    assert.equal(book.get('a'), entry);
    book.set('a', id, binary(B, A));
    assert.notEqual(book.get('a'), entry);
  });

  it('keeps earlier addresses when none of the later ones is usable', () => {
    const book = new AddressBook();
    book.set('a', id, binary(A));
    book.set('a', id, [Buffer.from('garbage'), Buffer.alloc(0), Buffer.alloc(129)]);
    assert.deepEqual(addressesOf(book), [A]);
    book.set('b', id, [Buffer.from('garbage')]);
    assert.equal(book.get('b'), undefined);
  });

  it('keeps a bounded number of addresses of a peer', () => {
    const book = new AddressBook();
    const many = Array.from({ length: 100 }, (_, i) => `/ip4/10.0.0.${String(i)}/tcp/1`);
    book.set('a', id, binary(...many));
    assert.deepEqual(addressesOf(book), many.slice(0, 16));
  });

  it('refuses peers beyond its bound, and none that it knows', () => {
    const book = new AddressBook();
    const [address] = binary(A);
    assert.ok(address);
    for (let i = 0; i <= 20_000; i++) book.set(String(i), id, [address]);
    assert.equal(book.size, 20_000);
    assert.equal(book.get('20000'), undefined);
    book.set('0', id, binary(B));
    assert.deepEqual(addressesOf(book, '0'), [B]);
  });

  it('removes the peers that are not in use', () => {
    const book = new AddressBook();
    for (const peerId of ['a', 'b', 'c']) book.set(peerId, id, binary(A));
    book.prune((peerId) => peerId === 'b');
    assert.equal(book.size, 1);
    assert.deepEqual(addressesOf(book, 'b'), [A]);
  });
});

describe('readAddress', () => {
  it('decodes a binary address, and gives none for a malformed one', () => {
    assert.deepEqual(binary(A).flatMap(readAddress).map(String), [A]);
    assert.deepEqual(readAddress(Buffer.from('garbage')), []);
  });

  it('reads no address that is too long to be one of a node', () => {
    const long = `/dns4/${'a'.repeat(200)}/tcp/5001`;
    assert.deepEqual(binary(long).flatMap(readAddress), []);
  });

  it('keeps nothing of the message in which it was', () => {
    const [bytes] = binary(A);
    assert.ok(bytes);
    const message = new Uint8Array(1_000_000);
    message.set(bytes);
    const [address] = readAddress(message.subarray(0, bytes.length));
    for (const component of address?.getComponents() ?? []) {
      assert.ok((component.bytes?.buffer.byteLength ?? 0) < 1000);
    }
  });
});
