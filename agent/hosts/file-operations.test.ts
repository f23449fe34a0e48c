import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { entryAt, nodeFileOperations as files } from './file-operations.ts';

const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe('nodeFileOperations', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-files-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const path = (name: string): string => join(folder, name);

  it('creates files and folders with their exact mode, whatever the umask is', async (t) => {
    const umask = process.umask(0o077);
    t.after(() => process.umask(umask));
    await files.create(path('file'), Buffer.from('text'), { ...self, mode: 0o666 });
    await files.makeFolder(path('folder'), 0o777);
    assert.equal(readFileSync(path('file'), 'utf8'), 'text');
    assert.equal(statSync(path('file')).mode & 0o7777, 0o666);
    assert.equal(statSync(path('folder')).mode & 0o7777, 0o777);
  });

  it(
    'creates a file with its owner, and keeps a set-ID bit that chown clears',
    { skip: self.uid === 0 ? false : 'needs root to change the owner' },
    async () => {
      await files.create(path('file'), Buffer.alloc(0), { mode: 0o4755, uid: 1234, gid: 5678 });
      const { mode, uid, gid } = statSync(path('file'));
      assert.deepEqual([mode & 0o7777, uid, gid], [0o4755, 1234, 5678]);
    },
  );

  it('never overwrites an existing file or folder when it creates one', async () => {
    writeFileSync(path('file'), 'theirs');
    const create = files.create(path('file'), Buffer.from('ours'), { ...self, mode: 0o644 });
    await assert.rejects(create, { code: 'EEXIST' });
    await assert.rejects(files.makeFolder(path('file'), 0o755), { code: 'EEXIST' });
    assert.equal(readFileSync(path('file'), 'utf8'), 'theirs');
  });

  it('links a symbolic link itself, not its target', async () => {
    symlinkSync('nowhere', path('link'));
    await files.link(path('link'), path('second'));
    assert.equal(readlinkSync(path('second')), 'nowhere');
    assert.equal(lstatSync(path('link')).nlink, 2);
  });

  it('replaces a file by a rename, and removes only empty folders', async () => {
    writeFileSync(path('old'), 'old');
    writeFileSync(path('new'), 'new');
    await files.rename(path('new'), path('old'));
    await files.sync(folder);
    assert.equal(readFileSync(path('old'), 'utf8'), 'new');
    await assert.rejects(files.removeFolder(folder), { code: 'ENOTEMPTY' });
    await files.removeFile(path('old'));
    await files.removeFolder(folder);
    assert.equal(await entryAt(folder), undefined);
    await files.makeFolder(folder, 0o755);
  });
});

describe('entryAt', () => {
  it('finds a broken symbolic link, nothing at a missing path, and rejects for a path through a file', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'peerglass-files-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    symlinkSync('nowhere', join(folder, 'link'));
    writeFileSync(join(folder, 'file'), '');
    assert.equal((await entryAt(join(folder, 'link')))?.isSymbolicLink(), true);
    assert.equal(await entryAt(join(folder, 'missing')), undefined);
    await assert.rejects(entryAt(join(folder, 'file/below')), { code: 'ENOTDIR' });
  });
});
