import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { fileTree, touchTimes } from '../testing/file-tree.ts';
import { DEFAULT, HUB, HostsFolder, MIRROR, THEIRS } from '../testing/hosts-folder.ts';

const never = new AbortController().signal;

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

describe('HostsConfigurator', () => {
  it('writes one file for each registry, with a marker, and cleanup removes all of them', async () => {
    const before = fileTree(folder.parent);
    const { written } = await folder.configure([DEFAULT, HUB]);
    assert.deepEqual(written, [
      join(folder.root, '_default/hosts.toml'),
      join(folder.root, 'docker.io/hosts.toml'),
    ]);
    assert.deepEqual(folder.parsed('_default/hosts.toml'), DEFAULT.file);
    assert.deepEqual(folder.parsed('docker.io/hosts.toml'), HUB.file);
    assert.match(folder.read('docker.io/hosts.toml'), /^# peerglass v1 sha256:/);
    assert.equal(statSync(join(folder.root, 'docker.io/hosts.toml')).mode & 0o777, 0o644);
    assert.equal(statSync(join(folder.root, 'docker.io')).mode & 0o777, 0o755);
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.parent), before);
  });

  it('lets only the owner read a file with credentials', async () => {
    const mirror = { ...MIRROR, header: { Authorization: ['Basic bWlycm9yOnNlY3JldA=='] } };
    const withHeader = [DEFAULT, HUB].map((hosts) => ({
      ...hosts,
      file: { ...hosts.file, hosts: [mirror] },
    }));
    const modeOf = (name: string): number => statSync(join(folder.root, name)).mode & 0o777;
    folder.write('docker.io/hosts.toml', THEIRS);
    for (const prepend of [false, true]) {
      await folder.configure([DEFAULT, HUB], prepend);
      assert.equal(modeOf('_default/hosts.toml'), 0o644);
      await folder.configure(withHeader, prepend);
      assert.deepEqual(folder.parsed('_default/hosts.toml').hosts, [mirror]);
      assert.deepEqual(folder.parsed('docker.io/hosts.toml').hosts[0], mirror);
      assert.equal(modeOf('_default/hosts.toml'), 0o600);
      assert.equal(modeOf('docker.io/hosts.toml'), 0o600);
    }
    await folder.configure([DEFAULT, HUB]);
    assert.equal(modeOf('_default/hosts.toml'), 0o644);
    await folder.cleanup();
    assert.equal(folder.read('docker.io/hosts.toml'), THEIRS);
  });

  it('writes nothing when the files are already as wanted', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    const options = [[], [true]] as const;
    for (const [prepend] of options) {
      await folder.configure([DEFAULT, HUB], prepend);
      const times = touchTimes(folder.root);
      const report = await folder.configure([DEFAULT, HUB], prepend);
      assert.deepEqual(report, { written: [], restored: [] });
      assert.deepEqual(touchTimes(folder.root), times);
    }
    await folder.cleanup();
    const times = touchTimes(folder.root);
    assert.deepEqual(await folder.cleanup(), { written: [], restored: [] });
    assert.deepEqual(touchTimes(folder.root), times);
  });

  it('restores the files of registries that are no longer wanted', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    const before = fileTree(folder.root);
    await folder.configure([HUB]);
    const report = await folder.configure([DEFAULT]);
    assert.deepEqual(report.written, [join(folder.root, '_default/hosts.toml')]);
    assert.deepEqual(report.restored, [join(folder.root, 'docker.io/hosts.toml')]);
    assert.equal(folder.read('docker.io/hosts.toml'), THEIRS);
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('creates the folder of all registries, but not its parent, and cleanup removes it', async () => {
    rmSync(folder.root, { recursive: true });
    const before = fileTree(folder.parent);
    await folder.configure();
    assert.deepEqual(folder.parsed('_default/hosts.toml'), DEFAULT.file);
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.parent), before);
    const missing = folder.configurator(join(folder.parent, 'containerd/certs.d'));
    await assert.rejects(
      missing.configure([DEFAULT], { prependExisting: false }, never),
      /containerd does not exist.*--containerd-registry-config-path/,
    );
    assert.deepEqual(await missing.cleanup(never), { written: [], restored: [] });
    assert.deepEqual(fileTree(folder.parent), before);
  });

  it('keeps a folder that it created when another program has put files into it', async () => {
    rmSync(folder.root, { recursive: true });
    await folder.configure([DEFAULT, HUB]);
    folder.write('docker.io/ca.crt', 'certificate');
    folder.write('quay.io/hosts.toml', THEIRS);
    await folder.cleanup();
    assert.deepEqual(Object.keys(fileTree(folder.root)), [
      '.',
      'docker.io',
      'docker.io/ca.crt',
      'quay.io',
      'quay.io/hosts.toml',
    ]);
  });

  it('writes into the folder that containerd reads for the registry', async () => {
    for (const [existing, expected] of [
      ['ghcr.io_5000_', 'ghcr.io_5000_'],
      ['ghcr.io:5000', 'ghcr.io:5000'],
      [undefined, 'ghcr.io:5000'],
    ] as const) {
      rmSync(folder.root, { recursive: true });
      mkdirSync(folder.root);
      if (existing !== undefined) mkdirSync(join(folder.root, existing));
      const before = fileTree(folder.root);
      await folder.configure([{ registry: 'ghcr.io:5000', file: DEFAULT.file }]);
      assert.deepEqual(folder.parsed(`${expected}/hosts.toml`), DEFAULT.file);
      await folder.cleanup();
      assert.deepEqual(fileTree(folder.root), before);
    }
  });

  it('ignores an invalid folder of a registry that it does not configure', async () => {
    mkdirSync(join(folder.root, 'quay.io/hosts.toml'), { recursive: true });
    const before = fileTree(folder.root);
    await folder.configure();
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });
});
