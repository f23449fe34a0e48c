import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { fileTree } from '../testing/file-tree.ts';
import { HostsFolder } from '../testing/hosts-folder.ts';
import { nodeFileOperations as files } from './file-operations.ts';
import { ChangedMeanwhileError, RestoreChange, WriteChange, discard } from './folder-change.ts';
import { seal } from './marker.ts';
import { readRegistryFolder } from './registry-folder.ts';

const NAME = 'docker.io';
const FILE = `${NAME}/hosts.toml`;
const BACKUP_FILE = `${FILE}.before-peerglass`;
const owner = { mode: 0o644, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const ours = (content: string, madeFolder = false): string =>
  seal(content, { folder: NAME, madeFolder, k3s: false });

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

async function write(content: string): Promise<WriteChange> {
  const read = await readRegistryFolder(folder.root, NAME);
  return new WriteChange(files, read, Buffer.from(content), owner);
}

async function restore(): Promise<RestoreChange> {
  return new RestoreChange(files, await readRegistryFolder(folder.root, NAME));
}

describe('WriteChange', () => {
  it('shows nothing of a new folder before the commit, and then the whole of it', async () => {
    const change = await write('new');
    await change.prepare();
    assert.deepEqual(
      readdirSync(folder.root).filter((name) => !name.startsWith('.')),
      [],
    );
    await change.commit();
    assert.deepEqual(readdirSync(folder.root), [NAME]);
    assert.equal(folder.read(FILE), 'new');
  });

  it('backs up a file of another program before it replaces the file', async () => {
    folder.write(FILE, 'theirs');
    const change = await write('new');
    await change.prepare();
    assert.equal(folder.read(FILE), 'theirs');
    await change.commit();
    assert.equal(folder.read(FILE), 'new');
    assert.equal(folder.read(BACKUP_FILE), 'theirs');
  });

  it('keeps the backup under a number when the file that it replaces is an edit of ours', async () => {
    folder.write(FILE, `${ours('x')}# edited`);
    folder.write(BACKUP_FILE, 'original');
    const change = await write('new');
    await change.prepare();
    await change.commit();
    assert.match(folder.read(BACKUP_FILE), /# edited$/);
    assert.equal(folder.read(`${BACKUP_FILE}.1`), 'original');
  });

  it('removes everything that it prepared when it is abandoned', async () => {
    folder.write(FILE, 'theirs');
    const before = fileTree(folder.root);
    const change = await write('new');
    await change.prepare();
    assert.notDeepEqual(fileTree(folder.root), before);
    await change.abandon();
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('does not overwrite a file that changed after it was read', async () => {
    folder.write(FILE, 'theirs');
    const change = await write('new');
    await change.prepare();
    writeFileSync(join(folder.root, FILE), 'newer');
    await assert.rejects(change.commit(), ChangedMeanwhileError);
    assert.equal(folder.read(FILE), 'newer');
  });
});

describe('RestoreChange', () => {
  it('renames the backup over our file', async () => {
    folder.write(FILE, ours('x'));
    folder.write(BACKUP_FILE, 'theirs');
    const change = await restore();
    assert.equal(change.action, 'restored');
    await change.commit();
    assert.deepEqual(readdirSync(join(folder.root, NAME)), ['hosts.toml']);
    assert.equal(folder.read(FILE), 'theirs');
  });

  it('removes a folder that was created for our file, and keeps one with other files', async () => {
    folder.write(FILE, ours('x', true));
    await (await restore()).commit();
    assert.deepEqual(readdirSync(folder.root), []);
    folder.write(FILE, ours('x', true));
    folder.write(`${NAME}/ca.crt`, 'certificate');
    await (await restore()).commit();
    assert.deepEqual(readdirSync(join(folder.root, NAME)), ['ca.crt']);
  });

  it('keeps an edited file, and numbers the backup', async () => {
    const edited = `${ours('x')}# edited`;
    folder.write(FILE, edited);
    folder.write(BACKUP_FILE, 'original');
    const change = await restore();
    assert.equal(change.action, 'tidied');
    await change.commit();
    assert.equal(folder.read(FILE), edited);
    assert.equal(folder.read(`${BACKUP_FILE}.1`), 'original');
  });
});

describe('discard', () => {
  it('removes a temporary folder with its hosts.toml, but not one with other files', async () => {
    folder.write('temporary/hosts.toml', '');
    await discard(files, join(folder.root, 'temporary'));
    assert.deepEqual(readdirSync(folder.root), []);
    folder.write('temporary/hosts.toml', '');
    folder.write('temporary/other', '');
    await discard(files, join(folder.root, 'temporary'));
    assert.deepEqual(readdirSync(join(folder.root, 'temporary')), ['other']);
    await discard(files, join(folder.root, 'missing'));
  });
});
