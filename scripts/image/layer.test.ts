import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { extract } from 'tar-stream';

import { FileTree } from './file-tree.ts';
import { putLayer } from './layer.ts';
import { blobPath, initLayout } from '../oci-image/oci-layout.ts';

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-layer-'));
  t.after(() => rm(folder, { recursive: true }));
  await initLayout(join(folder, 'layout'));
  return folder;
}

function someTree(): FileTree {
  const tree = new FileTree();
  tree.addFile('usr/bin/program', 'bytes', 0o755);
  tree.addLink('lib', 'usr/lib');
  tree.addFolder('tmp', 0o1777);
  return tree;
}

test('a layer says nothing of who made it where and when', async () => {
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

test('the same files give the same layer in whatever order, packed anew or kept from before', async (t) => {
  const folder = await temporaryFolder(t);
  const layout = join(folder, 'layout');
  const first = await putLayer(layout, someTree(), join(folder, 'cache'));
  const kept = await putLayer(layout, someTree(), join(folder, 'cache'));
  const turned = new FileTree();
  turned.addFolder('tmp', 0o1777);
  turned.addLink('lib', 'usr/lib');
  turned.addFile('usr/bin/program', 'bytes', 0o755);
  const anew = await putLayer(layout, turned, join(folder, 'another-cache'));
  assert.deepEqual(kept, first);
  assert.deepEqual(anew, first);
  const tar = gunzipSync(await readFile(blobPath(layout, first.descriptor.digest)));
  assert.equal(`sha256:${createHash('sha256').update(tar).digest('hex')}`, first.diffId);
});

test('a path cannot be there twice', () => {
  const tree = someTree();
  assert.throws(() => {
    tree.addFile('usr/bin/program', 'others');
  }, /usr\/bin\/program is there twice/);
});
