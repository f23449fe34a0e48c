import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { createNode } from './libp2p-node.ts';
import { boundPeerStore, MAX_STORED_ADDRESSES } from './peer-store-bounds.ts';

describe('boundPeerStore', () => {
  it('keeps a bounded number of addresses of a peer, for each way of adding them', async () => {
    const privateKey = await generateKeyPair('Ed25519');
    const serveDht = (): void => undefined;
    const { node } = await createNode({ privateKey, serveDht, listen: [] });
    const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const addresses = (batch: number, count: number) =>
      Array.from({ length: count }, (_, i) =>
        multiaddr(`/ip4/10.0.${String(batch)}.${String(i)}/tcp/1`),
      );
    const stored = async (): Promise<string[]> =>
      (await node.peerStore.get(peerId)).addresses.map(({ multiaddr: address }) => String(address));

    await node.peerStore.merge(peerId, { multiaddrs: addresses(1, 2) });
    await node.peerStore.merge(peerId, { multiaddrs: addresses(1, 3) });
    assert.equal((await stored()).length, 3);
    for (let batch = 2; batch < 6; batch++) {
      await node.peerStore.merge(peerId, { multiaddrs: addresses(batch, 200) });
    }
    const all = await stored();
    assert.equal(all.length, MAX_STORED_ADDRESSES);
    assert.ok(all.includes('/ip4/10.0.1.0/tcp/1'), 'the first ones stay');
    await node.peerStore.patch(peerId, { multiaddrs: addresses(7, 200) });
    assert.equal((await stored()).length, MAX_STORED_ADDRESSES);
    await node.peerStore.patch(peerId, { multiaddrs: addresses(8, 1) });
    assert.deepEqual(await stored(), ['/ip4/10.0.8.0/tcp/1']);
  });

  it('removes the oldest peers that are not in use', async () => {
    const privateKey = await generateKeyPair('Ed25519');
    const serveDht = (): void => undefined;
    const { node } = await createNode({ privateKey, serveDht, listen: [] });
    const peers: PeerId[] = [];
    boundPeerStore(node.peerStore, { isInUse: (id) => id === peers[1], maxPeers: 4 });
    const multiaddrs = [multiaddr('/ip4/10.0.0.1/tcp/1')];
    for (let i = 0; i < 8; i++) {
      const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
      peers.push(id);
      if (i % 2 === 0) await node.peerStore.merge(id, { multiaddrs });
      else await node.peerStore.patch(id, { multiaddrs });
    }
    const kept = await Promise.all(peers.map((id) => node.peerStore.has(id)));
    assert.deepEqual(kept, [false, true, false, false, false, true, true, true]);

    const [, , , , , gone] = peers;
    assert.ok(gone);
    await node.peerStore.delete(gone);
    const another = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    await node.peerStore.save(another, { multiaddrs });
    assert.equal((await node.peerStore.all()).length, 4, 'a deleted peer does not count');
  });
});
