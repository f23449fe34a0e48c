import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { ABSENT, digestOf } from '../../testing/conformance/content-store.ts';
import { ContainerdNode } from '../../testing/containerd-node.ts';
import { StoreFollower } from '../../testing/store-follower.ts';
import { blobPath } from '../blob-file.ts';

const PATIENCE = 30_000;
const BYTES = Buffer.from('the blob');
const DIGEST = digestOf(BYTES);

describe('ContainerdFeed', () => {
  for (const version of ['2.1.9', '1.7.24']) {
    it(`publishes a blob once when it comes and once when it goes, with containerd ${version}`, async () => {
      await using node = await ContainerdNode.start(version);
      await using follower = new StoreFollower(node.store, PATIENCE);
      await follower.settled();
      await node.putBlob(BYTES);
      await follower.sees({ kind: 'blob-added', digest: DIGEST });
      await node.deleteBlob(DIGEST);
      await follower.sees({ kind: 'blob-deleted', digest: DIGEST });
      await follower.settled();
      assert.equal(follower.count({ kind: 'blob-added', digest: DIGEST }), 1);
      assert.equal(follower.count({ kind: 'blob-deleted', digest: DIGEST }), 1);
    });
  }

  it('finds a blob that garbage collection removes without an event', async () => {
    await using node = await ContainerdNode.start();
    await using follower = new StoreFollower(node.store, PATIENCE);
    await follower.settled();
    await node.putBlob(BYTES);
    await follower.until(() => follower.blobs.has(DIGEST), 'the blob is seen');
    node.server.blobsOf('k8s.io').delete(DIGEST);
    await rm(blobPath(node.contentPath, DIGEST));
    await follower.until(() => !follower.blobs.has(DIGEST), 'the blob is gone');
  });

  it('publishes no blob of another namespace', async () => {
    await using node = await ContainerdNode.start();
    await using follower = new StoreFollower(node.store, PATIENCE);
    await follower.settled();
    await node.putBlob(BYTES, 'moby');
    const ours = await node.putBlob(Buffer.from('ours'));
    await follower.until(() => follower.blobs.has(ours), 'our blob is seen');
    assert.equal(follower.count({ kind: 'blob-added', digest: DIGEST }), 0);
  });

  it('relists when an event cannot be decoded', async () => {
    await using node = await ContainerdNode.start();
    await using follower = new StoreFollower(node.store, PATIENCE);
    await follower.settled();
    const { relists } = follower;
    node.server.publish('k8s.io', '/content/create', Buffer.from([0x0a, 0xff]));
    await follower.until(() => follower.relists > relists, 'there is a relist');
  });

  it('relists at intervals, for what the watches missed', async () => {
    await using node = await ContainerdNode.start('2.1.9', { comparisonInterval: 30 });
    await using follower = new StoreFollower(node.store, PATIENCE);
    await follower.until(() => follower.relists >= 3, 'there are three relists');
  });

  it('ends its subscription and its timers when the last consumer leaves', async () => {
    await using node = await ContainerdNode.start();
    const follower = new StoreFollower(node.store, PATIENCE);
    await follower.settled();
    assert.equal(node.server.subscribers, 1);
    await follower[Symbol.asyncDispose]();
    await writeFile(blobPath(node.contentPath, ABSENT), 'any');
    const after = new StoreFollower(node.store, PATIENCE);
    await after.settled();
    assert.equal(node.server.subscribers, 1);
    await after[Symbol.asyncDispose]();
  });
});
