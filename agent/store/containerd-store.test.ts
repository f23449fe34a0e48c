import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ABSENT, contentStoreConformance } from '../testing/conformance/content-store.ts';
import { ContainerdNode } from '../testing/containerd-node.ts';
import { StoreFollower } from '../testing/store-follower.ts';
import { blobPath } from './blob-file.ts';
import { StoreUnavailableError } from './content-store.ts';

const PATIENCE = 30_000;
const BYTES = randomBytes(100_000);

contentStoreConformance('ContainerdStore over the API of 2.1', () => ContainerdNode.start('2.1.9'));
contentStoreConformance('ContainerdStore over the API of 1.7', () =>
  ContainerdNode.start('1.7.24'),
);
contentStoreConformance(
  'ContainerdStore without a content folder',
  () => ContainerdNode.start('1.7.24', { contentPath: '/nonexistent', pollInterval: 50 }),
  { outlivesDeletion: false },
);

describe('ContainerdStore', () => {
  it('reads known blobs from disk while containerd is down, and relists when it is back', async () => {
    await using node = await ContainerdNode.start();
    await using follower = new StoreFollower(node.store, PATIENCE);
    const digest = await node.putBlob(BYTES);
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    node.server.stop();
    assert.deepEqual(await node.store.stat(digest), { digest, size: BYTES.length });
    {
      await using blob = await node.store.open(digest);
      assert.ok(blob !== undefined);
      const read = await buffer(blob.stream({ start: 0, end: blob.size - 1 }));
      assert.ok(read.equals(BYTES));
    }
    await assert.rejects(node.store.images(), StoreUnavailableError);
    assert.equal(await node.store.stat(ABSENT), undefined, 'there is no file');
    const { relists } = follower;
    await node.server.listen();
    await follower.until(() => follower.relists > relists, 'there is a relist');
  });

  it('does not serve a blob of another namespace from the folder that they share', async () => {
    await using node = await ContainerdNode.start();
    const digest = await node.putBlob(BYTES, 'moby');
    assert.equal(await node.store.stat(digest), undefined);
    assert.equal(await node.store.open(digest), undefined);
  });

  it('takes a blob for verified at commit until its file changes', async () => {
    await using node = await ContainerdNode.start();
    const digest = await node.putBlob(BYTES);
    const path = blobPath(node.contentPath, digest);
    const isVerified = async (): Promise<boolean> => {
      await using blob = await node.store.open(digest);
      assert.ok(blob !== undefined);
      return await node.store.verifiedAtCommit(blob);
    };
    assert.equal(await isVerified(), true);
    await delay(1_100);
    const record = node.server.blobsOf('k8s.io').get(digest);
    await utimes(path, record?.createdAt ?? 0, record?.createdAt ?? 0);
    assert.equal(await isVerified(), false, 'the change time is later than the commit');
    await truncate(path, 10);
    assert.equal(await isVerified(), false);
  });

  it('answers concurrent requests for an image with a record that is not older than they are', async () => {
    await using node = await ContainerdNode.start();
    const name = 'docker.io/library/demo:1.0';
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    for (let size = 1; size <= 20; size += 1) {
      const before = Array.from({ length: 10 }, () => node.store.image(name));
      await node.putImage(name, { mediaType, digest: ABSENT, size });
      assert.equal((await node.store.image(name))?.target.size, size);
      await Promise.all(before);
    }
  });

  it('has containerd abort an unfinished download', async () => {
    await using node = await ContainerdNode.start();
    const folder = join(node.contentPath, 'ingest', '1');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'ref'), `k8s.io/1/layer-${ABSENT}`);
    await writeFile(join(folder, 'total'), '5');
    await writeFile(join(folder, 'data'), 'wrong');
    await using ingest = await node.store.ingests.open(ABSENT);
    const { signal } = new AbortController();
    assert.equal(await ingest?.verify(signal), false);
    assert.equal(await ingest?.abort(signal), true);
    assert.deepEqual(node.server.aborted, [`layer-${ABSENT}`]);
  });
});
