import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { newSwarmKey } from '../membership/swarm-key.ts';
import { clusterKeys, makeSigningNode, type SigningNode } from '../testing/signing-nodes.ts';

function macKeys(one: SigningNode, other: SigningNode): string[] | undefined {
  return one.keys.agree(other.peerId)?.macKeys.map((key) => key.export().toString('hex'));
}

describe('SharedKeys', () => {
  it('agrees on the same keys at both nodes, and on others with every other node', async () => {
    const cluster = [newSwarmKey(), newSwarmKey()];
    const [a, b, c] = [
      await makeSigningNode(cluster),
      await makeSigningNode(cluster),
      await makeSigningNode(cluster),
    ];
    const keys = macKeys(a, b);
    assert.equal(new Set(keys).size, 2);
    assert.deepEqual(macKeys(b, a), keys);
    assert.equal(new Set([...(keys ?? []), ...(macKeys(a, c) ?? [])]).size, 4);
  });

  it('gives nothing in common to nodes with different swarm keys', async () => {
    const [a, b] = [await makeSigningNode(clusterKeys()), await makeSigningNode(clusterKeys())];
    assert.notDeepEqual(macKeys(a, b), macKeys(b, a));
    const [open, other] = [await makeSigningNode([]), await makeSigningNode([])];
    assert.deepEqual(macKeys(open, other), macKeys(other, open));
  });

  it('follows a change of the swarm keys and of the identity', async () => {
    const a = await makeSigningNode(clusterKeys());
    const b = await makeSigningNode(a.swarmKeys);
    const shared = a.keys.agree(b.peerId);
    assert.ok(shared !== undefined);
    a.keys.remember(b.peerId, shared);
    assert.equal(a.keys.known(b.peerId), shared);
    a.swarmKeys = clusterKeys();
    assert.equal(a.keys.known(b.peerId), undefined);
    b.swarmKeys = a.swarmKeys;
    assert.deepEqual(macKeys(a, b), macKeys(b, a));
    const { peerId, privateKey } = await makeSigningNode([]);
    Object.assign(b, { peerId, privateKey });
    assert.deepEqual(macKeys(a, b), macKeys(b, a));
  });

  it('has no key for a peer ID that is malformed, of another type, or of a point of small order', async () => {
    const a = await makeSigningNode(clusterKeys());
    const secp256k1 = peerIdFromPrivateKey(await generateKeyPair('secp256k1')).toString();
    // The identity of the curve: y = 1. Its product with any secret is the same.
    const smallOrder = peerIdOf(Buffer.from(`01${'00'.repeat(31)}`, 'hex'));
    const notOnCurve = peerIdOf(Buffer.alloc(32, 0xff));
    for (const text of ['', 'me', '12D3KooW', secp256k1, smallOrder, notOnCurve]) {
      assert.equal(a.keys.agree(text), undefined, text);
    }
    assert.ok(a.keys.agree(peerIdOf(rawPublicKey())) !== undefined);
  });
});

/** A new ed25519 public key, made without our code. */
function rawPublicKey(): Buffer {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
}

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** The peer ID of an ed25519 public key: the identity multihash of its protobuf, in base58. */
function peerIdOf(publicKey: Buffer): string {
  let value = BigInt(`0x002408011220${publicKey.toString('hex')}`);
  let text = '';
  for (; value > 0n; value /= 58n) text = (ALPHABET[Number(value % 58n)] ?? '') + text;
  return `1${text}`;
}
