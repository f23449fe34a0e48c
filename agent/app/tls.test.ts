import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { quiet } from '../testing/quiet.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { createTls, type AgentTls } from './tls.ts';

const create = (flags: Readonly<Record<string, string>>): Promise<AgentTls> =>
  createTls(registryConfig(flags), { metrics: createMetrics(), logger: quiet, loadIdentity });

describe('createTls', () => {
  it('speaks plain HTTP without certificates, to clients and to peers', async () => {
    const tls = await create({});
    assert.equal(tls.listener.tls, undefined);
    assert.equal(tls.peers, undefined);
    assert.equal(tls.keeper, undefined);
  });

  it(
    'checks peers with an authority alone, and serves plain HTTP',
    { skip: noOpenssl },
    async () => {
      await using authority = await Authority.create();
      const tls = await create({ 'registry-tls-ca': authority.ca });
      assert.equal(tls.listener.tls, undefined);
      assert.ok(tls.peers !== undefined);
      assert.ok(tls.keeper !== undefined);
    },
  );

  it(
    'serves TLS with a certificate, and requires client certificates when the option is set',
    { skip: noOpenssl },
    async () => {
      await using authority = await Authority.create();
      const { cert, key } = await authority.issue('node');
      const tls = await create({
        'registry-tls-cert': cert,
        'registry-tls-key': key,
        'registry-tls-ca': authority.ca,
        'registry-tls-client-auth': 'require',
      });
      assert.equal(tls.listener.tls?.clientAuth, 'require');
      assert.equal(tls.listener.onForeignTls, undefined, 'no TLS is foreign here');
    },
  );

  it('makes the certificate of the identity on request, for peers and not for containerd', async () => {
    const flags = { 'registry-tls': 'auto', 'mirror-addr': '127.0.0.1:30020' };
    const { identity, listener, node, peers } = await create(flags);
    assert.ok(identity !== undefined);
    assert.equal(listener.tls?.source, identity);
    assert.equal(node.tls, undefined);
    assert.equal(peers?.byIdentity, true);
    const code = 'ERR_USAGE';
    await assert.rejects(create({ 'registry-tls': 'auto' }), { code, message: /--mirror-addr/ });
    await assert.rejects(create({ ...flags, 'registry-tls-ca': '/a' }), {
      code,
      message: /makes its own certificate/,
    });
  });

  it('refuses a certificate without its key, and client certificates without an authority', async () => {
    const code = 'ERR_USAGE';
    await assert.rejects(create({ 'registry-tls-cert': '/a' }), { code, message: /go together/ });
    await assert.rejects(create({ 'registry-tls-client-auth': 'require' }), {
      code,
      message: /needs --registry-tls-cert/,
    });
    await assert.rejects(create({ 'registry-tls-client-key': '/a' }), {
      code,
      message: /-client-cert and --registry-tls-client-key go together/,
    });
    await assert.rejects(create({ 'registry-tls-client-ca': '/a' }), {
      code,
      message: /add --registry-tls-client-auth require/,
    });
  });

  it(
    'takes authorities for clients alone, and a certificate to show alone',
    { skip: noOpenssl },
    async () => {
      await using authority = await Authority.create();
      const { cert, key } = await authority.issue('node');
      const serving = await create({
        'registry-tls-cert': cert,
        'registry-tls-key': key,
        'registry-tls-client-ca': authority.ca,
        'registry-tls-client-auth': 'require',
      });
      assert.deepEqual(
        serving.listener.tls?.source.current.clientCa,
        await authority.read('ca.crt'),
      );
      const asking = await create({
        'registry-tls-client-cert': cert,
        'registry-tls-client-key': key,
      });
      assert.equal(asking.listener.tls, undefined);
      assert.ok(asking.peers?.source.current.client !== undefined);
    },
  );
});
