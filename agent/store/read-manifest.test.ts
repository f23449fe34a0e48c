import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MAX_MANIFEST_BYTES, ManifestError } from '../oci/manifest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { makeImage } from '../testing/image.ts';
import { MemoryStore } from './memory-store.ts';
import { readManifest, type ReadManifest } from './read-manifest.ts';

async function read(bytes: Buffer): Promise<ReadManifest> {
  const store = new MemoryStore();
  await using blob = await store.open(store.putBlob(bytes));
  assert.ok(blob !== undefined);
  return await readManifest(blob);
}

describe('readManifest', () => {
  it('gives the parsed manifest with its bytes', async () => {
    const image = makeImage(10);
    const bytes = image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0);
    const manifest = await read(bytes);
    assert.equal(manifest.mediaType, MEDIA_TYPE.ociManifest);
    assert.deepEqual(manifest.bytes, bytes);
    assert.deepEqual(
      manifest.children.map(({ digest }) => digest),
      [image.config, ...image.layers],
    );
  });

  for (const [what, bytes] of [
    ['a blob that is no manifest', Buffer.from('{}')],
    ['an empty blob', Buffer.alloc(0)],
    ['a blob larger than a manifest may be', Buffer.alloc(MAX_MANIFEST_BYTES + 1)],
  ] as const) {
    it(`refuses ${what} with ManifestError`, async () => {
      await assert.rejects(read(bytes), ManifestError);
    });
  }
});
