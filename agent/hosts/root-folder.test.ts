import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { HostsFolder } from '../testing/hosts-folder.ts';
import { nodeFileOperations as files } from './file-operations.ts';
import { HostsConfigError } from './hosts-error.ts';
import {
  AUTHORITY_COPY,
  MADE_ROOT,
  clearRootLeftovers,
  isFolder,
  makeRoot,
  removeRoot,
} from './root-folder.ts';

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
  rmSync(folder.root, { recursive: true });
});
afterEach(() => {
  folder.remove();
});

describe('makeRoot', () => {
  it('creates the folder with the mark of peerglass', async () => {
    await makeRoot(files, folder.root);
    assert.deepEqual(readdirSync(folder.root), [MADE_ROOT]);
    assert.deepEqual(readdirSync(folder.parent), ['certs.d']);
  });

  it('leaves the folder of an agent that was faster as it is', async () => {
    folder.write('docker.io/hosts.toml', 'theirs');
    await makeRoot(files, folder.root);
    assert.deepEqual(readdirSync(folder.root), ['docker.io']);
    assert.deepEqual(readdirSync(folder.parent), ['certs.d'], 'no temporary folder is left');
  });

  it('refuses a path whose parent is missing', async () => {
    const path = join(folder.parent, 'missing/certs.d');
    await assert.rejects(makeRoot(files, path), HostsConfigError);
    assert.deepEqual(readdirSync(folder.parent), []);
  });
});

describe('removeRoot', () => {
  it('removes a folder with only files of peerglass', async () => {
    await makeRoot(files, folder.root);
    writeFileSync(join(folder.root, AUTHORITY_COPY), '');
    await removeRoot(files, folder.root);
    assert.deepEqual(readdirSync(folder.parent), []);
  });

  it('removes only the mark from a folder with other files', async () => {
    await makeRoot(files, folder.root);
    folder.write('quay.io/hosts.toml', 'theirs');
    await removeRoot(files, folder.root);
    assert.deepEqual(readdirSync(folder.root), ['quay.io']);
  });
});

describe('clearRootLeftovers', () => {
  it('removes temporary folders of crashes, but not files that others put into them', async () => {
    for (const name of ['empty', 'used']) {
      mkdirSync(join(folder.parent, `certs.d.peerglass-tmp.${name}`));
      writeFileSync(join(folder.parent, `certs.d.peerglass-tmp.${name}`, MADE_ROOT), '');
    }
    const theirs = join(folder.parent, 'certs.d.peerglass-tmp.used/theirs');
    writeFileSync(theirs, '');
    await clearRootLeftovers(files, folder.root);
    assert.deepEqual(readdirSync(folder.parent), ['certs.d.peerglass-tmp.used']);
    assert.equal(existsSync(theirs), true);
  });
});

describe('isFolder', () => {
  it('is false for a missing path, and refuses a file', async () => {
    assert.equal(await isFolder(folder.parent), true);
    assert.equal(await isFolder(folder.root), false);
    writeFileSync(folder.root, '');
    await assert.rejects(isFolder(folder.root), /is not a folder/);
  });
});
