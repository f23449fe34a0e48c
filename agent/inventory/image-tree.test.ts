import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MEDIA_TYPE } from '../oci/media-type.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { makeImage, putImage, sha256 } from '../testing/image.ts';
import { walkImage } from './image-tree.ts';

/** Puts a manifest or an index of these bytes into the store; its descriptor. */
function put(store: MemoryStore, content: unknown, mediaType: string = MEDIA_TYPE.ociIndex) {
  const bytes = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  return { mediaType, digest: store.putBlob(bytes), size: bytes.length };
}

describe('walkImage', () => {
  it('finds the manifest, the config and the layers of an image, held or not', async () => {
    const store = new MemoryStore();
    const image = makeImage(10, 20);
    putImage(store, image);
    for (const layer of image.layers) store.deleteBlob(layer);
    const tree = await walkImage(store, image.manifest);
    assert.deepEqual(new Set(tree.digests), new Set(image.blobs.keys()));
    assert.equal(tree.missing.size + tree.broken.size, 0);
  });

  it('lists the manifests of an index that are not held as missing', async () => {
    const store = new MemoryStore();
    const [held, absent] = [makeImage(10), makeImage(20)];
    putImage(store, held);
    const index = put(store, { manifests: [held.manifest, absent.manifest] });
    const { digests, missing } = await walkImage(store, index);
    assert.deepEqual([...missing], [absent.manifest.digest]);
    assert.deepEqual(
      new Set(digests),
      new Set([index.digest, ...held.blobs.keys(), absent.manifest.digest]),
    );
  });

  it('ends the branch of a broken manifest only, with the reason', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image);
    const broken = put(store, '{ not JSON', MEDIA_TYPE.ociManifest);
    const index = put(store, { manifests: [broken, image.manifest] });
    const tree = await walkImage(store, index);
    assert.deepEqual([...tree.broken.keys()], [broken.digest]);
    assert.notEqual(tree.broken.get(broken.digest), '');
    assert.ok(image.layers.every((layer) => tree.digests.has(layer)));
  });

  it('stops at 20,000 digests and calls the root broken', async () => {
    const store = new MemoryStore();
    const indexes = Array.from({ length: 21 }, (_, index) => {
      const manifests = Array.from({ length: 1000 }, (__, i) => ({
        mediaType: MEDIA_TYPE.ociManifest,
        digest: sha256(Buffer.from(`${String(index)} ${String(i)}`)),
        size: 1,
      }));
      return put(store, { manifests });
    });
    const root = put(store, { manifests: indexes });
    const { digests, broken } = await walkImage(store, root);
    assert.equal(digests.size, 20_000);
    assert.match(broken.get(root.digest) ?? '', /more than 20000 digests/);
  });

  it('visits each manifest of nested indexes once', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image);
    const inner = put(store, { manifests: [image.manifest] });
    const outer = put(store, { manifests: [inner, inner, image.manifest] });
    const { digests } = await walkImage(store, outer);
    const expected = [outer.digest, inner.digest, ...image.blobs.keys()];
    assert.deepEqual(new Set(digests), new Set(expected));
  });
});
