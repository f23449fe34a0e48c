import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { ABSENT } from '../../testing/conformance/content-store.ts';
import { LayoutUnderTest } from '../../testing/layout-fixture.ts';
import { StoreFollower } from '../../testing/store-follower.ts';

const PATIENCE = 30_000;
const NAME = 'docker.io/library/demo:1';
const TARGET = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: ABSENT, size: 3 };

describe('LayoutFeed', () => {
  it('publishes an image when its target changes, and not when index.json is written again', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    await layout.putImage(NAME, TARGET);
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await follower.settled();
    const before = follower.count({ kind: 'image-set', name: NAME });
    await layout.writeIndex();
    await layout.putImage('docker.io/library/other:1', TARGET);
    await follower.sees({ kind: 'image-set', name: 'docker.io/library/other:1' });
    assert.equal(follower.count({ kind: 'image-set', name: NAME }), before);
    await layout.putImage(NAME, { ...TARGET, mediaType: 'application/json' });
    await follower.until(
      () => follower.count({ kind: 'image-set', name: NAME }) === before + 1,
      'the image is published',
    );
    await layout.deleteImage(NAME);
    await follower.sees({ kind: 'image-deleted', name: NAME });
  });

  it('publishes a blob that is renamed into place, and ignores other files', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await follower.settled();
    await writeFile(join(layout.path, 'blobs', 'sha256', 'not-a-digest'), 'any');
    const digest = await layout.putBlob(Buffer.from('blob'));
    await follower.sees({ kind: 'blob-added', digest });
    await layout.deleteBlob(digest);
    await follower.sees({ kind: 'blob-deleted', digest });
    const blobs = follower.changes.filter(({ kind }) => kind.startsWith('blob-'));
    assert.equal(blobs.length, 2);
  });

  it('relists when a folder of blobs is removed and the layout stays', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    const digest = await layout.putBlob(Buffer.from('blob'));
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    const { relists } = follower;
    await rm(join(layout.path, 'blobs', 'sha256'), { recursive: true });
    await follower.until(() => follower.relists > relists, 'there is a relist');
    await follower.until(() => !follower.blobs.has(digest), 'the blob is gone');
  });
});
