import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';

import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { loadIdentity } from '../routing/node/identity.ts';
import { IdentityCertificate, isCertificateOf } from './identity-certificate.ts';
import type { TlsMaterial } from './tls-material.ts';

function certificateOf({ current }: IdentityCertificate): X509Certificate {
  return new X509Certificate(current.identity?.cert ?? '');
}

describe('IdentityCertificate', () => {
  it('is signed with the identity of the node, and names it', async () => {
    const privateKey = await loadIdentity();
    const peerId = peerIdFromPrivateKey(privateKey).toString();
    const certificate = certificateOf(new IdentityCertificate(privateKey));
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(certificate.checkIssued(certificate));
    assert.equal(certificate.subject, `CN=${peerId}`);
    assert.equal(certificate.validTo, 'Dec 31 23:59:59 9999 GMT');
    assert.ok(isCertificateOf(peerId, certificate));
  });

  it('is not that of another node, nor of a name that is no peer ID', async () => {
    const certificate = certificateOf(new IdentityCertificate(await loadIdentity()));
    const other = peerIdFromPrivateKey(await loadIdentity()).toString();
    for (const peerId of [other, 'peer', '']) assert.ok(!isCertificateOf(peerId, certificate));
  });

  it('proves the identity to a client of TLS 1.3', async () => {
    const privateKey = await loadIdentity();
    const { identity } = new IdentityCertificate(privateKey).current;
    assert.ok(identity !== undefined);
    const server = createServer({ cert: identity.cert, key: identity.key }, (socket) => {
      socket.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const shown = socket.getPeerX509Certificate();
    assert.ok(shown !== undefined);
    assert.ok(isCertificateOf(peerIdFromPrivateKey(privateKey).toString(), shown));
    socket.destroy();
    server.close();
  });

  it('is another one when the node has another identity', async () => {
    const certificate = new IdentityCertificate(await loadIdentity());
    const seen: TlsMaterial[] = [];
    certificate.onChange((material) => seen.push(material));
    const privateKey = await loadIdentity();
    certificate.renew(privateKey);
    assert.deepEqual(seen, [certificate.current]);
    const peerId = peerIdFromPrivateKey(privateKey).toString();
    assert.ok(isCertificateOf(peerId, certificateOf(certificate)));
  });
});
