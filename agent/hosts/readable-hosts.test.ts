import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { DEFAULT, HostsFolder, MIRROR } from '../testing/hosts-folder.ts';
import { fileTree } from '../testing/file-tree.ts';
import { HostsConfigError } from './hosts-error.ts';
import { ReadableConfigurator } from './readable-hosts.ts';
import type { RegistryHosts } from './hosts-toml.ts';

const IPV6: RegistryHosts = {
  registry: '_default',
  file: { hosts: [{ ...MIRROR, url: 'http://[fd88::2]:5000' }] },
};
const options = { prependExisting: false };
const never = new AbortController().signal;

let certs: HostsFolder;
beforeEach(() => {
  certs = new HostsFolder();
});
afterEach(() => {
  certs.remove();
});

function configuratorOf(version: () => Promise<string>): ReadableConfigurator {
  return new ReadableConfigurator({ configurator: certs.configurator(), version });
}

describe('ReadableConfigurator', () => {
  for (const version of ['2.0.0', 'v2.1.9', 'devel']) {
    it(`writes an IPv6 address for containerd ${version}`, async () => {
      const configurator = configuratorOf(() => Promise.resolve(version));
      await configurator.configure([IPV6], options, never);
      assert.deepEqual(certs.parsed('_default/hosts.toml'), IPV6.file);
    });
  }

  for (const [what, version, message] of [
    ['of 1.6', () => Promise.resolve('1.6.20~ds1'), /containerd 1\.6\.20~ds1 ignores .* host name/],
    ['of 1.7', () => Promise.resolve('v1.7.24'), /containerd v1\.7\.24 ignores .*127\.0\.0\.1/],
    [
      'that does not answer',
      () => Promise.reject(new Error('ENOENT c.sock')),
      /does not say its version \(ENOENT c\.sock\); .*--containerd-sock/,
    ],
  ] as const) {
    it(`refuses it for a containerd ${what}, and writes nothing`, async () => {
      certs.write('docker.io/hosts.toml', '[host."https://cache.example"]\n');
      const before = fileTree(certs.root);
      await assert.rejects(configuratorOf(version).configure([IPV6], options, never), (error) => {
        assert.ok(error instanceof HostsConfigError);
        assert.match(error.message, message);
        assert.match(error.message, /http:\/\/\[fd88::2\]:5000/);
        return true;
      });
      assert.deepEqual(fileTree(certs.root), before);
    });
  }

  it('does not ask containerd when no host needs it, nor for a cleanup', async () => {
    const configurator = configuratorOf(() => Promise.reject(new Error('asked')));
    await configurator.configure([DEFAULT], options, never);
    assert.deepEqual(certs.parsed('_default/hosts.toml'), DEFAULT.file);
    await configurator.cleanup(never);
  });
});
