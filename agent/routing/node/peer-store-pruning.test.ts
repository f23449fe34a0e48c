import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { ProviderRecords } from '../dht/provider-records.ts';
import { AddressBook } from './address-book.ts';
import { createNode } from './libp2p-node.ts';
import { prunePeers } from './peer-store-pruning.ts';

const HOUR_MS = 60 * 60_000;
const address = multiaddr('/ip4/10.0.0.1/tcp/1');

const newId = async (): Promise<PeerId> => peerIdFromPrivateKey(await generateKeyPair('Ed25519'));

describe('prunePeers', () => {
  it('removes peers without connection, table entry and records, an hour after their last change', async (t) => {
    const { node } = await createNode({
      privateKey: await generateKeyPair('Ed25519'),
      serveDht: () => undefined,
      listen: [],
    });
    const [departed, connected, withRecords] = [await newId(), await newId(), await newId()];
    const peers = [departed, connected, withRecords];
    const addressBook = new AddressBook();
    const records = new ProviderRecords({ ownPeerId: 'me' });
    records.add('key', withRecords.toString());
    for (const id of peers) {
      await node.peerStore.merge(id, { multiaddrs: [address] });
      addressBook.set(id.toString(), id.toMultihash().bytes, [address.bytes]);
    }
    t.mock.method(node, 'getPeers', () => [connected]);
    const stored = () => Promise.all(peers.map((id) => node.peerStore.has(id)));
    const known = () => peers.map((id) => addressBook.get(id.toString()) !== undefined);

    await prunePeers(node, records, addressBook);
    assert.deepEqual(await stored(), [true, true, true]);
    assert.deepEqual(known(), [false, true, true], 'the address book has no grace period');

    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + HOUR_MS + 1 });
    await prunePeers(node, records, addressBook);
    assert.deepEqual(await stored(), [false, true, true]);
    assert.deepEqual(known(), [false, true, true]);
  });
});
