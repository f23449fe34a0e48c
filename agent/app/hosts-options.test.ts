import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Credentials } from '../basic-auth/credentials.ts';
import { quiet } from '../testing/quiet.ts';
import { registryConfig } from '../testing/registry-config.ts';
import {
  createConfigurator,
  mirrorEntries,
  sharedRegistries,
  wantedHosts,
} from './hosts-options.ts';

const MIRROR = 'http://127.0.0.1:5000';
type Flags = Parameters<typeof registryConfig>[0];

describe('sharedRegistries', () => {
  it('is empty, which stands for all, when one of the names is a star', () => {
    const shared = (...names: string[]): readonly string[] =>
      sharedRegistries(registryConfig({ 'mirrored-registries': names }));
    assert.deepEqual(shared('docker.io', 'quay.io'), ['docker.io', 'quay.io']);
    assert.deepEqual(shared('docker.io', '*'), []);
  });
});

describe('wantedHosts', () => {
  it('mirrors all registries by the default file when no registry is named', () => {
    const wanted = wantedHosts(registryConfig({ 'mirror-targets': MIRROR }));
    assert.deepEqual(
      wanted.map(({ registry, file }) => [registry, file.server]),
      [['_default', undefined]],
    );
  });

  it('refuses a registry with two servers', () => {
    const names = ['http://r.example', 'https://r.example'];
    const config = registryConfig({ 'mirror-targets': MIRROR, 'mirrored-registries': names });
    assert.throws(() => wantedHosts(config), { message: /r\.example is given twice/ });
  });
});

describe('mirrorEntries', () => {
  it('names each mirror once, and lets containerd wait two seconds for a connection', () => {
    assert.deepEqual(mirrorEntries(registryConfig({ 'mirror-targets': [MIRROR, MIRROR] })), [
      { url: MIRROR, capabilities: ['pull', 'resolve'], dialTimeout: '2s' },
    ]);
  });

  it('gives the credentials of clients to each mirror', () => {
    const credentials = new Credentials('mirror', 'secret');
    const header = { Authorization: [credentials.authorization.reveal()] };
    const config = registryConfig({ 'mirror-targets': [MIRROR, 'http://10.0.0.9:5000'] });
    const entries = mirrorEntries(config, credentials);
    assert.deepEqual(
      entries.map((entry) => entry.header),
      [header, header],
    );
    assert.deepEqual(wantedHosts(config, credentials)[0]?.file.hosts, entries);
  });

  it('leaves tags to the registry without --resolve-tags', () => {
    const flags = { 'mirror-targets': MIRROR, 'resolve-tags': 'false' };
    const [{ capabilities } = {}] = mirrorEntries(registryConfig(flags));
    assert.deepEqual(capabilities, ['pull']);
  });

  for (const [flags, message] of [
    [{}, /--mirror-targets is needed/],
    [{ 'mirror-targets': MIRROR, 'mirror-target-ca': '/ca' }, /are for https:\/\/ mirrors/],
    [{ 'mirror-targets': 'https://m', 'mirror-target-ca': 'ca' }, /no absolute path/],
    [{ 'mirror-targets': 'https://m', 'mirror-target-key': '/k' }, /give both/],
  ] as const satisfies readonly (readonly [Flags, RegExp])[]) {
    it(`refuses ${JSON.stringify(flags)} as wrong usage`, () => {
      assert.throws(() => mirrorEntries(registryConfig(flags)), { code: 'ERR_USAGE', message });
    });
  }
});

describe('createConfigurator', () => {
  it('refuses an empty name of the folder', () => {
    const config = registryConfig({ 'containerd-registry-config-path': '' });
    const empty = { ...config, 'containerd-registry-config-path': '' };
    assert.throws(() => createConfigurator(empty, quiet), { code: 'ERR_USAGE' });
  });
});
