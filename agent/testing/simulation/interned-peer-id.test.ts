import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { peerIdFromMultihash, peerIdFromString } from './interned-peer-id.ts';

describe('the peer IDs that simulated nodes share', () => {
  it('are one object for each peer, from its text and from its multihash', async () => {
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const shared = peerIdFromString(id.toString());
    assert.ok(shared.equals(id));
    assert.equal(peerIdFromMultihash(id.toMultihash()), shared);
    assert.throws(() => peerIdFromString('no peer'));
  });
});
