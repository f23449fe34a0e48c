import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { loadIdentity } from '../../routing/node/identity.ts';
import { IdentityCertificate } from '../../tls/identity-certificate.ts';
import { NamedPeers } from './named-peers.ts';

const ORIGIN = 'https://10.0.0.1:5000';

async function makePeer(): Promise<{ peerId: string; certificate: X509Certificate }> {
  const privateKey = await loadIdentity();
  const { identity } = new IdentityCertificate(privateKey).current;
  return {
    peerId: peerIdFromPrivateKey(privateKey).toString(),
    certificate: new X509Certificate(identity?.cert ?? ''),
  };
}

describe('NamedPeers', () => {
  it('accepts the certificates of the peers that are asked at an address', async () => {
    const [one, other, third] = [await makePeer(), await makePeer(), await makePeer()];
    const peers = new NamedPeers();
    assert.ok(!peers.isOneOf(ORIGIN, one.certificate));
    peers.add(ORIGIN, one.peerId);
    peers.add(ORIGIN, other.peerId);
    assert.ok(peers.isOneOf(ORIGIN, one.certificate));
    assert.ok(peers.isOneOf(ORIGIN, other.certificate));
    assert.ok(!peers.isOneOf(ORIGIN, third.certificate));
    assert.ok(!peers.isOneOf('https://10.0.0.2:5000', one.certificate));
    assert.ok(!peers.isOneOf(ORIGIN, undefined));
  });

  it('remembers the four peers of an address that were asked last', async () => {
    const [first, ...others] = await Promise.all(Array.from({ length: 5 }, makePeer));
    assert.ok(first !== undefined);
    const peers = new NamedPeers();
    for (const { peerId } of [first, ...others]) peers.add(ORIGIN, peerId);
    assert.ok(!peers.isOneOf(ORIGIN, first.certificate));
    for (const { certificate } of others) assert.ok(peers.isOneOf(ORIGIN, certificate));
  });
});
