import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { parseRegistries } from '../../hosts/registries/parse-registries.ts';
import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { send, serve } from '../../testing/token-registry.ts';
import { bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';
import type { ServerOptions } from 'node:https';
import { UpstreamEndpoints } from '../where/upstream-endpoints.ts';
import { UpstreamAgents } from './upstream-agents.ts';

const signal = new AbortController().signal;
const MANIFEST = Buffer.from('{"schemaVersion":2,"manifests":[]}');

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-agents-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe('UpstreamAgents with TLS', { skip: noOpenssl }, () => {
  let authority: Authority;
  let tls: ServerOptions;
  let client: { readonly cert: string; readonly key: string };

  before(async () => {
    authority = await Authority.create('registry authority');
    await authority.issue('server');
    client = await authority.issue('client');
    tls = { cert: await authority.read('server.crt'), key: await authority.read('server.key') };
  });
  after(async () => {
    await authority[Symbol.asyncDispose]();
  });

  const ask = async (
    t: Parameters<typeof serve>[0],
    settings: string,
    server: ServerOptions = {},
  ): Promise<Buffer> => {
    const origin = await serve(
      t,
      (_req, res) => {
        send(res, 200, 'application/json', MANIFEST);
      },
      { ...tls, ...server },
    );
    const registry = new URL(origin).host;
    const yaml = `configs: { "${registry}": { tls: { ${settings} } } }`;
    const { source } = await upstreamTo(t, [{ registry }], { yaml });
    return await bytesOf(await source.fetch(requestFor(registry, 'a', { tag: '1' }), signal));
  };

  it('check the certificate of a registry against the authority of registries.yaml', async (t) => {
    assert.deepEqual(await ask(t, `ca_file: ${authority.ca}`), MANIFEST);
  });

  it('refuse one of an authority that is not known', async (t) => {
    await assert.rejects(ask(t, 'insecure_skip_verify: false'), {
      code: 'UNAVAILABLE',
      message: /TLS failed \(/,
    });
  });

  it('do not check it with insecure_skip_verify', async (t) => {
    assert.deepEqual(await ask(t, 'insecure_skip_verify: true'), MANIFEST);
  });

  it('show the client certificate of registries.yaml', async (t) => {
    const server = {
      ca: await authority.read('ca.crt'),
      requestCert: true,
      rejectUnauthorized: true,
    };
    const shown = `ca_file: ${authority.ca}, cert_file: ${client.cert}, key_file: ${client.key}`;
    assert.deepEqual(await ask(t, shown, server), MANIFEST);
    await assert.rejects(ask(t, `ca_file: ${authority.ca}`, server), { code: 'UNAVAILABLE' });
  });

  it('name a file that cannot be read', async (t) => {
    await assert.rejects(ask(t, 'ca_file: /no/such.crt'), {
      message: /ca_file \/no\/such.crt of registries.yaml cannot be read \(ENOENT\)/,
    });
  });

  it('do not let a redirect lead from https to http', async (t) => {
    const plain = await serve(t, (_req, res) => {
      send(res, 200, 'application/json', MANIFEST);
    });
    const origin = await serve(
      t,
      (_req, res) => {
        res.writeHead(307, { Location: plain }).end();
      },
      tls,
    );
    const registry = new URL(origin).host;
    const yaml = `configs: { "${registry}": { tls: { ca_file: ${authority.ca} } } }`;
    const { source } = await upstreamTo(t, [{ registry }], { yaml });
    await assert.rejects(source.fetch(requestFor(registry, 'a', { tag: '1' }), signal), {
      message: /redirects from https to http/,
    });
  });

  it('do not take storage for verified with what is skipped for the registry', async (t) => {
    const storage = await serve(
      t,
      (_req, res) => {
        send(res, 200, 'application/json', MANIFEST);
      },
      tls,
    );
    const origin = await serve(
      t,
      (_req, res) => {
        res.writeHead(307, { Location: storage }).end();
      },
      tls,
    );
    const registry = new URL(origin).host;
    const yaml = `configs: { "${registry}": { tls: { insecure_skip_verify: true } } }`;
    const { source } = await upstreamTo(t, [{ registry }], { yaml });
    await assert.rejects(source.fetch(requestFor(registry, 'a', { tag: '1' }), signal), {
      message: /TLS failed/,
    });
  });

  it('use a changed client certificate once its key is there too', async (t) => {
    const folder = await temporaryFolder(t);
    const [cert, key] = [join(folder, 'client.crt'), join(folder, 'client.key')];
    await copyFile(client.cert, cert);
    await copyFile(client.key, key);
    const agents = new UpstreamAgents({ connectTimeout: 5_000, silence: 5_000, filesInterval: 0 });
    t.after(() => agents.close());
    const yaml = `configs: { r.example: { tls: { cert_file: ${cert}, key_file: ${key} } } }`;
    const [endpoint] = new UpstreamEndpoints({
      names: [{ registry: 'r.example' }],
      registries: { current: parseRegistries(yaml).registries },
    }).of('r.example');
    assert.ok(endpoint);
    const before = await agents.for(endpoint, endpoint.base);
    const renewed = await authority.issue('renewed');
    await copyFile(renewed.cert, cert);
    assert.equal(await agents.for(endpoint, endpoint.base), before);
    await copyFile(renewed.key, key);
    assert.notEqual(await agents.for(endpoint, endpoint.base), before);
  });

  it('use changed files, and those of before where they are gone', async (t) => {
    await using other = await Authority.create('another authority');
    const origin = await serve(t, (_req, res) => res.end('content'), tls);
    const caFile = join(await temporaryFolder(t), 'ca.crt');
    await copyFile(other.ca, caFile);
    const agents = new UpstreamAgents({ connectTimeout: 5_000, silence: 5_000, filesInterval: 0 });
    t.after(() => agents.close());
    const [endpoint] = new UpstreamEndpoints({
      names: [{ registry: new URL(origin).host }],
      registries: {
        current: parseRegistries(
          `configs: { "${new URL(origin).host}": { tls: { ca_file: ${caFile} } } }`,
        ).registries,
      },
    }).of(new URL(origin).host);
    assert.ok(endpoint);
    const request = async (): Promise<string> => {
      const agent = await agents.for(endpoint, endpoint.base);
      const { body } = await agent.request({ origin, path: '/', method: 'GET' });
      return await body.text();
    };
    await assert.rejects(request(), { code: /CERT|SIGNATURE|ISSUER/ });
    await copyFile(authority.ca, caFile);
    assert.equal(await request(), 'content');
    const before = await agents.for(endpoint, endpoint.base);
    await rm(caFile);
    assert.equal(await request(), 'content');
    assert.equal(await agents.for(endpoint, endpoint.base), before);
    await writeFile(caFile, (await readFile(authority.ca)).subarray(0, 300));
    assert.equal(await agents.for(endpoint, endpoint.base), before, 'half of it');
    await copyFile(authority.ca, caFile);
    assert.equal(await agents.for(endpoint, endpoint.base), before, 'the same files');
  });
});
