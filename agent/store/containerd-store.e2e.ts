import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { pino } from 'pino';

import type { Digest } from '../oci/digest.ts';
import { blobPath } from './blob-file.ts';
import { ABSENT, contentStoreConformance } from '../testing/conformance/content-store.ts';
import { containerdBinary } from '../testing/containerd-fixture.ts';
import { ContainerdUnderTest } from '../testing/containerd-under-test.ts';
import { ContainerdStore } from './containerd-store.ts';
import { StoreUnavailableError } from './content-store.ts';
import { StoreFollower } from '../testing/store-follower.ts';

const PATIENCE = 60_000;
const BYTES = randomBytes(2_500_000);

/** A missing folder stands for an unreadable one: the tests run as root, which may read every folder. */
const BY_GRPC = { contentPath: '/nonexistent/content', pollInterval: 200 };

contentStoreConformance('ContainerdStore, from disk', () => ContainerdUnderTest.start());
contentStoreConformance('ContainerdStore, by gRPC', () => ContainerdUnderTest.start(BY_GRPC), {
  outlivesDeletion: false,
});

describe(`ContainerdStore with ${containerdBinary()}`, { timeout: 4 * PATIENCE }, () => {
  it('publishes a blob without an image once, and its deletion once', async () => {
    await using test = await ContainerdUnderTest.start();
    // containerd creates the folder with the first blob. The watch begins then, with another relist.
    await test.putBlob(Buffer.from('first'));
    await using follower = new StoreFollower(test.store, PATIENCE);
    await follower.until(() => follower.relists >= 2, 'there is a second relist');
    await follower.settled();
    const relists = follower.relists;
    const digest = await test.putBlob(BYTES);
    await follower.sees({ kind: 'blob-added', digest });
    await follower.settled();
    assert.equal(follower.count({ kind: 'blob-added', digest }), 1);
    await test.deleteBlob(digest);
    await follower.sees({ kind: 'blob-deleted', digest });
    await follower.settled();
    assert.equal(follower.count({ kind: 'blob-deleted', digest }), 1);
    assert.equal(follower.relists, relists);
  });

  it('never returns an image record that is older than the call, for any number of concurrent calls', async () => {
    await using test = await ContainerdUnderTest.start();
    const name = 'docker.io/library/demo:1.0';
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const stop = new AbortController();
    const asking = Array.from({ length: 32 }, async () => {
      while (!stop.signal.aborted) await test.store.image(name);
    });
    for (let size = 1; size <= 50; size += 1) {
      await test.putImage(name, { mediaType, digest: ABSENT, size });
      assert.equal((await test.store.image(name))?.target.size, size);
    }
    stop.abort();
    await Promise.all(asking);
  });

  it('publishes blobs that garbage collection removes', async () => {
    await using test = await ContainerdUnderTest.start();
    await test.putBlob(Buffer.from('first'));
    await using follower = new StoreFollower(test.store, PATIENCE);
    await follower.settled();
    const digest = await test.fixture.putBlob(BYTES, { keep: false });
    const name = 'docker.io/library/demo:1.0';
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    await test.putImage(name, { mediaType, digest, size: BYTES.length });
    await follower.until(() => follower.images.has(name), 'the image is seen');
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    await test.deleteImage(name);
    await follower.until(() => !follower.images.has(name), 'the image is gone');
    await follower.until(() => !follower.blobs.has(digest), 'the blob is gone');
  });

  it('serves while containerd is down, and relists when it is back', async () => {
    await using test = await ContainerdUnderTest.start();
    await using follower = new StoreFollower(test.store, PATIENCE);
    const digest = await test.putBlob(BYTES);
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    await follower.settled();
    for (let round = 1; round <= 2; round += 1) {
      const relists = follower.relists;
      await test.fixture.kill();
      assert.ok((await test.read(digest)).equals(BYTES));
      assert.deepEqual(await test.store.stat(digest), { digest, size: BYTES.length });
      await assert.rejects(test.store.images(), StoreUnavailableError);
      await assert.rejects(test.store.image('a'), StoreUnavailableError);
      await assert.rejects(test.store.blobs().next(), StoreUnavailableError);
      assert.equal(await test.store.stat(ABSENT), undefined);
      await test.fixture.start();
      await follower.until(() => follower.relists > relists, 'there is a relist');
      const later = await test.putBlob(randomBytes(100));
      await follower.until(() => follower.blobs.has(later), 'the blob after the restart is seen');
      assert.ok(follower.blobs.has(digest));
    }
  });

  it('waits for a containerd that is not up yet', async () => {
    await using test = await ContainerdUnderTest.create();
    await using follower = new StoreFollower(test.store, PATIENCE);
    await assert.rejects(test.store.images(), StoreUnavailableError);
    await assert.rejects(test.store.stat(ABSENT), StoreUnavailableError);
    assert.equal(follower.changes.length, 0);
    await test.fixture.start();
    await follower.settled();
    assert.equal(follower.changes[0]?.kind, 'relist');
  });

  it('reads through gRPC while the folder cannot be read, and from disk when it can', async () => {
    await using test = await ContainerdUnderTest.start();
    const link = test.fixture.scratch('content');
    using store = new ContainerdStore({
      socketPath: test.fixture.socketPath,
      namespace: test.fixture.namespace,
      contentPath: link,
      logger: pino({ level: 'silent' }),
    });
    const digest = await test.putBlob(BYTES);
    const read = async () => {
      await using blob = await store.open(digest);
      assert.ok(blob !== undefined);
      const kind = blob.constructor.name;
      assert.ok((await buffer(blob.stream({ start: 0, end: blob.size - 1 }))).equals(BYTES));
      return kind;
    };
    const deadline = Date.now() + PATIENCE;
    const becomes = async (kind: string) => {
      while ((await read()) !== kind) {
        assert.ok(Date.now() < deadline);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    assert.equal(await read(), 'RemoteBlob');
    await symlink(test.fixture.contentPath, link);
    await becomes('BlobFile');
    await rm(link);
    await becomes('RemoteBlob');
  });

  it('does not take a blob of another namespace as its own', async () => {
    await using test = await ContainerdUnderTest.start();
    await using follower = new StoreFollower(test.store, PATIENCE);
    const digest = await test.fixture.putBlob(BYTES, { namespace: 'other' });
    const ours = await test.putBlob(Buffer.from('ours'));
    await follower.until(() => follower.blobs.has(ours), 'our blob is seen');
    await follower.settled();
    assert.equal(await test.store.stat(digest), undefined);
    assert.equal(await test.store.open(digest), undefined);
    assert.deepEqual([...follower.blobs], [ours]);
    assert.equal(follower.count({ kind: 'blob-added', digest }), 0);
  });

  it('takes a blob as verified at commit, before and after a listing, until its file changes', async () => {
    await using test = await ContainerdUnderTest.start();
    const isVerified = async (digest: Digest, store = test.store): Promise<boolean> => {
      await using blob = await store.open(digest);
      assert.ok(blob !== undefined);
      return await store.verifiedAtCommit(blob);
    };
    await using follower = new StoreFollower(test.store, PATIENCE);
    const [one, two] = [await test.putBlob(BYTES), await test.putBlob(Buffer.from('two'))];
    for (const digest of [one, two]) {
      await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
      assert.ok(await isVerified(digest));
    }
    const path = blobPath(test.fixture.contentPath, one);
    const { atime, mtime } = await stat(path);
    await delay(20);
    await utimes(path, atime, mtime);
    assert.ok(!(await isVerified(one)), 'only the change time shows it');
    assert.ok(await isVerified(two));
    await truncate(blobPath(test.fixture.contentPath, two), 2);
    assert.ok(!(await isVerified(two)));
  });

  it('does not take a file as verified that containerd took over without verifying it', async () => {
    await using test = await ContainerdUnderTest.start();
    await using follower = new StoreFollower(test.store, PATIENCE);
    const digest = await test.fixture.putBlob(BYTES, { namespace: 'other' });
    const path = blobPath(test.fixture.contentPath, digest);
    await writeFile(path, randomBytes(BYTES.length));
    await delay(1_100);
    // The namespace gets its record by its own commit, with the bytes that are there.
    await test.putBlob(BYTES);
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    await using blob = await test.store.open(digest);
    assert.ok(blob !== undefined);
    assert.ok(!(await test.store.verifiedAtCommit(blob)));
  });

  it('asks containerd for blobs that it does not remember', async () => {
    await using test = await ContainerdUnderTest.start({ maxKnownBlobs: 2 });
    const digests: Digest[] = [];
    for (let count = 0; count < 5; count += 1) digests.push(await test.putBlob(randomBytes(10)));
    for await (const batch of test.store.blobs()) assert.equal(batch.length, 5);
    for (const digest of digests) assert.equal((await test.store.stat(digest))?.size, 10);
  });
});
