import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { fileTree } from '../../testing/file-tree.ts';
import { DEFAULT, HUB, HostsFolder, THEIRS } from '../../testing/hosts-folder.ts';
import { HostsConfigError } from '../hosts-error.ts';

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

describe('a folder that must not be written', () => {
  const refuses = async (message: RegExp, wanted = [DEFAULT, HUB]): Promise<void> => {
    const before = fileTree(folder.parent);
    await assert.rejects(folder.configure(wanted), (error) => {
      assert.ok(error instanceof HostsConfigError, String(error));
      assert.match(error.message, message);
      return true;
    });
    assert.deepEqual(fileTree(folder.parent), before);
  };

  it('is refused if a symbolic link leads out of it, and nothing changes', async () => {
    mkdirSync(join(folder.parent, 'elsewhere'));
    writeFileSync(join(folder.parent, 'elsewhere/hosts.toml'), THEIRS);
    symlinkSync(join(folder.parent, 'elsewhere'), join(folder.root, 'docker.io'));
    await refuses(/docker\.io is a symbolic link/);
    rmSync(join(folder.root, 'docker.io'));
    mkdirSync(join(folder.root, 'docker.io'));
    symlinkSync(
      join(folder.parent, 'elsewhere/hosts.toml'),
      join(folder.root, 'docker.io/hosts.toml'),
    );
    await refuses(/hosts\.toml is a symbolic link out of/);
    rmSync(join(folder.root, 'docker.io/hosts.toml'));
    symlinkSync('nowhere', join(folder.root, 'docker.io/hosts.toml'));
    await refuses(/leads nowhere/);
    rmSync(join(folder.root, 'docker.io'), { recursive: true });
    symlinkSync(join(folder.parent, 'elsewhere'), join(folder.root, 'quay.io'));
    await folder.configure();
    await folder.cleanup();
    assert.equal(readFileSync(join(folder.parent, 'elsewhere/hosts.toml'), 'utf8'), THEIRS);
  });

  it('is refused for wrong types, a file that is too large, and a registry that is given twice', async () => {
    folder.write('docker.io', 'a file');
    await refuses(/docker\.io is not a folder/);
    rmSync(join(folder.root, 'docker.io'));
    mkdirSync(join(folder.root, 'docker.io/hosts.toml'), { recursive: true });
    await refuses(/hosts\.toml is not a file/);
    rmSync(join(folder.root, 'docker.io'), { recursive: true });
    folder.write('docker.io/hosts.toml', '#'.repeat(2 ** 20 + 1));
    await refuses(/bytes/);
    rmSync(join(folder.root, 'docker.io'), { recursive: true });
    await refuses(/twice/, [HUB, HUB]);
    await refuses(/not a registry/, [{ ...HUB, registry: '../etc' }]);
    rmSync(folder.root, { recursive: true });
    writeFileSync(folder.root, 'a file');
    await refuses(/not a folder/);
  });
});
