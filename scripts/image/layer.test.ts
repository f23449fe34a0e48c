import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';

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

test('putLayer gives the same layer for the same files in any order, cached or not', async (t) => {
  const folder = await temporaryFolder(t);
  const layout = join(folder, 'layout');
  const first = await putLayer(layout, someTree(), join(folder, 'cache'));
  const cached = await putLayer(layout, someTree(), join(folder, 'cache'));
  const reordered = new FileTree();
  reordered.addFolder('tmp', 0o1777);
  reordered.addLink('lib', 'usr/lib');
  reordered.addFile('usr/bin/program', 'bytes', 0o755);
  const uncached = await putLayer(layout, reordered, join(folder, 'another-cache'));
  assert.deepEqual(cached, first);
  assert.deepEqual(uncached, first);
  const tar = gunzipSync(await readFile(blobPath(layout, first.descriptor.digest)));
  assert.equal(`sha256:${createHash('sha256').update(tar).digest('hex')}`, first.diffId);
});
