import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { DEFAULT, HUB, HostsFolder, MIRROR, THEIRS } from '../testing/hosts-folder.ts';
import { hidesDefault, isNoMirroredRegistry } from './hidden-default.ts';
import { HostsConfigError } from './hosts-error.ts';
import { readRegistryFolder } from './registry-folder.ts';

let certs: HostsFolder;
beforeEach(() => {
  certs = new HostsFolder();
});
afterEach(() => {
  certs.remove();
});

async function hides(name: string): Promise<boolean> {
  const folder = await readRegistryFolder(certs.root, name).catch((error: unknown) => {
    assert.ok(error instanceof HostsConfigError);
    return undefined;
  });
  return await hidesDefault(certs.root, { name, folder, mirror: MIRROR });
}

describe('hidesDefault', () => {
  it('is true for a folder with a file that does not name the mirror', async () => {
    certs.write('docker.io/hosts.toml', THEIRS);
    assert.equal(await hides('docker.io'), true);
    certs.write('quay.io/hosts.toml', 'nonsense');
    assert.equal(await hides('quay.io'), true);
  });

  it('is true for a folder without a file, and for a link to one', async () => {
    mkdirSync(join(certs.root, 'docker.io'));
    assert.equal(await hides('docker.io'), true);
    symlinkSync('docker.io', join(certs.root, 'quay.io'));
    assert.equal(await hides('quay.io'), true);
    symlinkSync('nowhere', join(certs.root, 'ghcr.io'));
    assert.equal(await hides('ghcr.io'), false);
  });

  it('is false where the mirror is named, without a folder, and for loopback and backups', async () => {
    certs.write('docker.io/hosts.toml', '[host."http://127.0.0.1:5000/"]\n');
    certs.write('localhost:5000/hosts.toml', THEIRS);
    certs.write('_backup/hosts.toml', THEIRS);
    for (const name of ['docker.io', 'localhost:5000', '_backup', 'absent.example']) {
      assert.equal(await hides(name), false, name);
    }
  });

  it('checks the file that remains after our own file is restored', async () => {
    await certs.configure([DEFAULT, HUB]);
    assert.equal(await hides('docker.io'), false, 'the folder goes with the file');
    certs.write('docker.io/ca.crt', '');
    assert.equal(await hides('docker.io'), true, 'the folder stays');
    certs.write('ghcr.io/hosts.toml', THEIRS);
    await certs.configure([{ ...HUB, registry: 'ghcr.io' }], true);
    assert.equal(await hides('ghcr.io'), true, 'its own file comes back');
  });
});

describe('isNoMirroredRegistry', () => {
  it('is true for loopback and for names that no registry has', () => {
    for (const name of [
      '_default',
      '_backup',
      '.x',
      'localhost:5000',
      '127.0.0.1_5000_',
      'lost+found',
    ]) {
      assert.equal(isNoMirroredRegistry(name), true, name);
    }
    for (const name of ['docker.io', '10.0.0.9_5000_', '[fd00::1]:5000']) {
      assert.equal(isNoMirroredRegistry(name), false, name);
    }
  });
});
