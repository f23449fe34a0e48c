import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { fileTree } from '../../testing/file-tree.ts';
import { HUB, HostsFolder, THEIRS } from '../../testing/hosts-folder.ts';

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

describe('a file that changed after it was written', () => {
  it('is backed up if it was edited, and cleanup keeps the edit and the original', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    for (const again of [false, true]) {
      await folder.configure([HUB]);
      const edited = `${folder.read('docker.io/hosts.toml')}# and this\n`;
      folder.write('docker.io/hosts.toml', edited, 0o600);
      if (again) {
        await folder.configure([HUB]);
        assert.deepEqual(folder.parsed('docker.io/hosts.toml'), HUB.file);
        assert.doesNotMatch(folder.read('docker.io/hosts.toml'), /and this/);
      }
      await folder.cleanup();
      assert.equal(folder.read('docker.io/hosts.toml'), edited);
      assert.equal(statSync(join(folder.root, 'docker.io/hosts.toml')).mode & 0o777, 0o600);
      assert.equal(folder.read('docker.io/hosts.toml.before-peerglass.1'), THEIRS);
      assert.deepEqual(
        readdirSync(join(folder.root, 'docker.io')).filter((name) => name.startsWith('.')),
        [],
      );
      folder.write('docker.io/hosts.toml', THEIRS, 0o644);
      rmSync(join(folder.root, 'docker.io/hosts.toml.before-peerglass.1'));
    }
  });

  it('is backed up instead of the original if another program replaced it', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    for (const again of [false, true]) {
      await folder.configure([HUB]);
      folder.write('docker.io/hosts.toml', '# replaced\n');
      if (again) await folder.configure([HUB]);
      await folder.cleanup();
      assert.deepEqual(Object.keys(fileTree(join(folder.root, 'docker.io'))), ['.', 'hosts.toml']);
      assert.equal(folder.read('docker.io/hosts.toml'), '# replaced\n');
    }
  });

  it('is written again if it was deleted, and cleanup still restores the original', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    const before = fileTree(folder.root);
    await folder.configure([HUB]);
    rmSync(join(folder.root, 'docker.io/hosts.toml'));
    await folder.configure([HUB]);
    assert.deepEqual(folder.parsed('docker.io/hosts.toml'), HUB.file);
    rmSync(join(folder.root, 'docker.io/hosts.toml'));
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('does not count as ours in a folder to which it was copied', async () => {
    await folder.configure([HUB]);
    folder.write('quay.io/hosts.toml', folder.read('docker.io/hosts.toml'));
    await folder.cleanup();
    assert.ok(fileTree(folder.root)['quay.io/hosts.toml'] !== undefined);
  });

  it('is recognised if an older version wrote it, and is rewritten and removed', async () => {
    const before = fileTree(folder.root);
    await folder.configure([HUB]);
    // Every version computes the checksum of the folder, the text above the marker, the flags and the rest.
    const rest = "[host.'http://127.0.0.1:4000']\n";
    const sum = createHash('sha256')
      .update(JSON.stringify(['docker.io', '', ' folder', rest]))
      .digest('hex');
    const older = `# peerglass v0 sha256:${sum} folder\n${rest}`;
    folder.write('docker.io/hosts.toml', older);
    await folder.configure([HUB]);
    assert.deepEqual(Object.keys(fileTree(join(folder.root, 'docker.io'))), ['.', 'hosts.toml']);
    assert.deepEqual(folder.parsed('docker.io/hosts.toml'), HUB.file);
    folder.write('docker.io/hosts.toml', older);
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });
});
