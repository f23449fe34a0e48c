import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { SimulatedPeerStore } from './simulated-peer-store.ts';

describe('SimulatedPeerStore', () => {
  it('keeps protocols and addresses of peers', async () => {
    const store = new SimulatedPeerStore();
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const address = multiaddr('/ip4/10.0.0.7/tcp/5001');
    await assert.rejects(store.get(id), { name: 'NotFoundError' });
    store.set(id, ['/a'], [address]);
    store.addProtocol(id, '/b');
    store.addProtocol(id, '/b');
    const peer = await store.get(id);
    assert.deepEqual(peer.protocols, ['/a', '/b']);
    assert.deepEqual(
      peer.addresses.map((each) => each.multiaddr),
      [address],
    );
    await store.patch(id, { multiaddrs: [] });
    assert.deepEqual(store.addressesOf(id), []);
    assert.equal((await store.all()).length, 1);
    await store.delete(id);
    assert.deepEqual(await store.all(), []);
  });
});
