import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { quiet } from '../testing/quiet.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { createTls, type AgentTls } from './tls.ts';

const create = (flags: Readonly<Record<string, string>>): Promise<AgentTls> =>
  createTls(registryConfig(flags), createMetrics(), quiet);

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

  it('refuses a certificate without its key, and client certificates without an authority', async () => {
    const code = 'ERR_USAGE';
    await assert.rejects(create({ 'registry-tls-cert': '/a' }), { code, message: /go together/ });
    await assert.rejects(create({ 'registry-tls-client-auth': 'require' }), {
      code,
      message: /needs --registry-tls-cert/,
    });
  });
});
