import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { parseRegistries } from '../hosts/registries/parse-registries.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { eventually } from '../testing/eventually.ts';
import { quiet } from '../testing/quiet.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { UpstreamEndpoints } from '../upstream/where/upstream-endpoints.ts';
import { registriesToShare } from './registries.ts';
import { upstreamSettings } from './upstream-settings.ts';

describe('upstreamSettings', () => {
  it('are none without --upstream, also with its other options', async () => {
    const config = registryConfig({ 'upstream-credentials': '/no/such/file' });
    assert.equal(await upstreamSettings(config, {}, quiet), undefined);
  });

  it('have the registries of the option and of registries.yaml', async () => {
    const { registries } = parseRegistries(
      'mirrors: { ghcr.io: { endpoint: ["https://m.example"] } }',
    );
    const file = { path: '/r.yaml', found: true, registries };
    const config = registryConfig({
      upstream: ['docker.io', 'http://10.0.0.9:5000', '*'],
      'disable-default-registry-endpoint': 'true',
    });
    const settings = await upstreamSettings(config, { file }, quiet);
    assert.equal(settings?.registries?.current, registries);
    assert.deepEqual(settings.endpoints, {
      names: [
        { registry: 'docker.io', server: 'https://registry-1.docker.io' },
        { registry: '10.0.0.9:5000', server: 'http://10.0.0.9:5000' },
        undefined,
      ],
      registries: settings.registries,
      defaultEndpoint: false,
    });
    assert.deepEqual(settings.rules, []);
  });

  it('leave it to the registry who may have what was fetched with credentials, unless --share says otherwise', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-upstream-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, 'config.json');
    const auth = btoa('u:p');
    await writeFile(
      path,
      JSON.stringify({
        auths: { 'ghcr.io/team': { auth }, 'quay.io': { auth }, '*.registry.example': { auth } },
      }),
    );
    const config = registryConfig({
      upstream: '*',
      'upstream-credentials': path,
      share: 'quay.io=all',
    });
    const settings = await upstreamSettings(config, {}, quiet);
    const policy = new SharePolicy({ rules: [...config.share, ...(settings?.rules ?? [])] });
    assert.equal(policy.sharesTag('ghcr.io', 'team/app', '1'), false);
    assert.equal(policy.sharesContent('ghcr.io', 'team/app'), true);
    assert.equal(policy.sharesTag('ghcr.io', 'other/app', '1'), true);
    assert.equal(policy.sharesTag('quay.io', 'a', '1'), true);
    assert.equal(policy.sharesTag('eu.registry.example', 'a', '1'), false);
    assert.equal(policy.sharesTag('registry.example', 'a', '1'), true);
  });

  it('follow a registries.yaml that changes: its endpoints, and credentials of registries that had some at the start', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-upstream-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, 'registries.yaml');
    const yaml = (endpoint: string, password: string): string => `
mirrors: { ghcr.io: { endpoint: ["https://${endpoint}"] }, quay.io: {} }
configs: { ghcr.io: { auth: { username: u, password: ${password} } } }
`;
    await writeFile(path, yaml('one.example', 'first'));
    const config = registryConfig({ upstream: '*', 'registries-yaml': path });
    const shared = await registriesToShare(config, quiet);
    const settings = await upstreamSettings(config, shared, quiet, { interval: 5, settle: 5 });
    assert.ok(settings?.registries);
    const endpoints = new UpstreamEndpoints(settings.endpoints);
    const stop = new AbortController();
    const running = settings.registries.run(stop.signal);
    await writeFile(path, 'mirrors: [');
    await writeFile(path, yaml('two.example', 'second'));
    await eventually(() => {
      assert.equal(endpoints.of('ghcr.io')[0]?.host, 'two.example');
    });
    const [, own] = endpoints.of('ghcr.io');
    assert.ok(own);
    assert.equal(settings.credentials.of(own, 'a')?.password?.reveal(), 'second');
    stop.abort();
    await running;
  });
});
