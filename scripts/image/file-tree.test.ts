import assert from 'node:assert/strict';
import { test } from 'node:test';

import { extract } from 'tar-stream';

import { FileTree } from './file-tree.ts';

function someTree(): FileTree {
  const tree = new FileTree();
  tree.addFile('usr/bin/program', 'bytes', 0o755);
  tree.addLink('lib', 'usr/lib');
  tree.addFolder('tmp', 0o1777);
  return tree;
}

test('FileTree.toTar writes no owner and no time of the build', async () => {
  const entries: unknown[] = [];
  for await (const entry of someTree().toTar().pipe(extract())) {
    const { name, type, mode, uid, gid, uname, gname, mtime, linkname } = entry.header;
    const owner = [uid, gid, uname, gname, mtime.getTime()];
    entries.push([name, type, mode, linkname]);
    assert.deepEqual(owner, [0, 0, '', '', 0], name);
    entry.resume();
  }
  assert.deepEqual(entries, [
    ['lib', 'symlink', 0o777, 'usr/lib'],
    ['tmp/', 'directory', 0o1777, null],
    ['usr/', 'directory', 0o755, null],
    ['usr/bin/', 'directory', 0o755, null],
    ['usr/bin/program', 'file', 0o755, null],
  ]);
});

test('FileTree.addFile refuses a path that exists', () => {
  const tree = someTree();
  assert.throws(() => {
    tree.addFile('usr/bin/program', 'others');
  }, /usr\/bin\/program is there twice/);
});

test('FileTree adds the folders of a file, and keeps the mode of a folder that was added', () => {
  const tree = new FileTree();
  tree.addFolder('tmp', 0o1777);
  tree.addFile('tmp/a/b', 'bytes');
  assert.deepEqual(tree.paths, ['tmp', 'tmp/a', 'tmp/a/b']);
  assert.equal(tree.file('tmp/a/b')?.toString(), 'bytes');
  assert.equal(tree.file('tmp/a'), undefined);
});
