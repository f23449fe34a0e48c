import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { startProxy } from '../../testing/connect-proxy.ts';
import { send, serve } from '../../testing/token-registry.ts';
import { bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const MANIFEST = Buffer.from('{"schemaVersion":2,"manifests":[]}');

const manifests = (t: TestContext, tls?: Parameters<typeof serve>[2]): Promise<string> =>
  serve(
    t,
    (_req, res) => {
      send(res, 200, 'application/json', MANIFEST);
    },
    tls,
  );

describe('proxyConnector', () => {
  it('connects through the proxy of the environment, with its user, also for http', async (t) => {
    const { origin, asked } = await startProxy(t, await manifests(t));
    const registry = 'registry.test:5000';
    const environment = { HTTP_PROXY: origin.replace('//', '//us%40er:pass@') };
    const names = [{ registry, server: `http://${registry}` }];
    const { source } = await upstreamTo(t, names, { environment });
    const content = await source.fetch(requestFor(registry, 'a', { tag: '1' }), signal);
    assert.deepEqual(await bytesOf(content), MANIFEST);
    assert.deepEqual(asked, [{ target: registry, user: `Basic ${btoa('us@er:pass')}` }]);
  });

  it('has the TLS of the registry go through it', { skip: noOpenssl }, async (t) => {
    await using authority = await Authority.create();
    await authority.issue('registry', { names: 'DNS:registry.test' });
    const tls = {
      cert: await authority.read('registry.crt'),
      key: await authority.read('registry.key'),
    };
    const { origin, asked } = await startProxy(t, await manifests(t, tls));
    const registry = 'registry.test';
    const yaml = `configs: { ${registry}: { tls: { ca_file: ${authority.ca} } } }`;
    const { source } = await upstreamTo(t, [{ registry }], {
      yaml,
      environment: { HTTPS_PROXY: origin },
    });
    const content = await source.fetch(requestFor(registry, 'a', { tag: '1' }), signal);
    assert.deepEqual(await bytesOf(content), MANIFEST);
    assert.deepEqual(asked, [{ target: 'registry.test:443', user: undefined }]);
  });

  it('goes straight to hosts of NO_PROXY, and to loopback', async (t) => {
    const { origin, asked } = await startProxy(t, await manifests(t));
    const own = await manifests(t);
    const environment = { HTTP_PROXY: origin, NO_PROXY: 'registry.test' };
    const local = new URL(own).host;
    const names = [
      { registry: local, server: own },
      { registry: 'registry.test', server: 'http://registry.test' },
    ];
    const { source } = await upstreamTo(t, names, { environment });
    assert.deepEqual(
      await bytesOf(await source.fetch(requestFor(local, 'a', { tag: '1' }), signal)),
      MANIFEST,
    );
    await assert.rejects(source.fetch(requestFor('registry.test', 'a', { tag: '1' }), signal));
    assert.deepEqual(asked, []);
  });

  it('tells why the proxy gives no connection, without its password', async (t) => {
    const { origin: refusing } = await startProxy(t, 'http://127.0.0.1:1', 407);
    for (const [proxy, message] of [
      [
        refusing.replace('//', '//user:secret@'),
        /no connection through the proxy 127.0.0.1:\d+ \(status 407\)/,
      ],
      ['http://user:secret@127.0.0.1:1', /through the proxy 127.0.0.1:1 \(ECONNREFUSED\)/],
      [
        'socks5://user:secret@127.0.0.1:1',
        /the proxy for https:\/\/ is no http:\/\/ or https:\/\/ URL/,
      ],
    ] as const) {
      const { source } = await upstreamTo(t, [undefined], { environment: { HTTPS_PROXY: proxy } });
      await assert.rejects(
        source.fetch(requestFor('registry.test', 'a', { tag: '1' }), signal),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(!error.message.includes('secret'));
          return true;
        },
      );
    }
  });
});
