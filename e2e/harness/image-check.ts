import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { BuiltImage } from '../images/image.ts';
import { hostPlatform } from '../images/image.ts';
import type { LayerFile } from '../images/layer.ts';
import type { ContainerdNode } from './containerd-node.ts';

/** Of files above this size only the length is compared, because the digest of their layer has been checked. */
const HASHED_FILE_LIMIT = 16 << 20;

/**
 * Asserts that the node holds exactly the image that was generated: the name points to its digest, each of
 * its blobs is in the content store and gives, read out again, the bytes of its digest, and the unpacked
 * file system can be mounted and holds its files.
 */
export async function assertHoldsImage(
  node: ContainerdNode,
  image: BuiltImage,
  reference: string = image.name,
): Promise<void> {
  const where = String(node);
  assert.equal((await node.images()).get(reference), image.target.digest, `${where}: ${reference}`);
  const held = await node.contentDigests();
  for (const { digest } of image.blobs) {
    assert.ok(held.has(digest), `${where} lacks ${digest} of ${reference}`);
    assert.equal(await node.digestOfContent(digest), digest, `${where}: bytes of ${digest}`);
  }
  await using mount = await node.mountImage(reference);
  for (const file of filesFor(image)) {
    const path = join(mount.path, file.path);
    assert.equal((await stat(path)).size, file.size, `${where}: size of ${file.path}`);
    if (file.size <= HASHED_FILE_LIMIT) {
      assert.equal(await sha256(path), file.sha256, `${where}: bytes of ${file.path}`);
    }
  }
}

function filesFor(image: BuiltImage): LayerFile[] {
  const { architecture } = hostPlatform();
  const manifest = image.manifests.find((it) => it.platform.architecture === architecture);
  assert.ok(manifest !== undefined, `${image.name} has nothing for ${architecture}`);
  return manifest.layers.flatMap((layer) => layer.files);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
