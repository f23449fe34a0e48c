import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { pino } from 'pino';

import type { Digest } from '../oci/digest.ts';
import { blobPath } from './blob-file.ts';
import {
  ABSENT,
  contentStoreConformance,
  type StoreUnderTest,
} from '../testing/conformance/content-store.ts';
import { ContainerdFixture, containerdBinary } from '../testing/containerd-fixture.ts';
import { ContainerdStore, type ContainerdStoreInit } from './containerd-store.ts';
import { StoreUnavailableError } from './content-store.ts';
import { StoreFollower } from '../testing/store-follower.ts';

const PATIENCE = 60_000;
const BYTES = randomBytes(2_500_000);

/** A containerd of its own, and a store that reads from it. */
class ContainerdUnderTest implements StoreUnderTest {
  readonly fixture: ContainerdFixture;
  readonly store: ContainerdStore;

  private constructor(fixture: ContainerdFixture, init: Partial<ContainerdStoreInit>) {
    this.fixture = fixture;
    this.store = new ContainerdStore({
      socketPath: fixture.socketPath,
      namespace: fixture.namespace,
      contentPath: fixture.contentPath,
      logger: pino({ level: 'silent' }),
      ...init,
    });
  }

  static async create(init: Partial<ContainerdStoreInit> = {}): Promise<ContainerdUnderTest> {
    return new ContainerdUnderTest(await ContainerdFixture.create(), init);
  }

  static async start(init?: Partial<ContainerdStoreInit>): Promise<ContainerdUnderTest> {
    const test = await ContainerdUnderTest.create(init);
    try {
      await test.fixture.start();
    } catch (error) {
      await test[Symbol.asyncDispose]();
      throw error;
    }
    return test;
  }

  putBlob: StoreUnderTest['putBlob'] = (bytes) => this.fixture.putBlob(bytes);
  deleteBlob: StoreUnderTest['deleteBlob'] = (digest) => this.fixture.deleteBlob(digest);
  putImage: StoreUnderTest['putImage'] = (name, target) => this.fixture.putImage(name, target);
  deleteImage: StoreUnderTest['deleteImage'] = (name) => this.fixture.deleteImage(name);

  /** The whole blob as the store gives it. */
  async read(digest: Digest): Promise<Buffer> {
    await using blob = await this.store.open(digest);
    assert.ok(blob !== undefined);
    return await buffer(blob.stream({ start: 0, end: blob.size - 1 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store[Symbol.dispose]();
    await this.fixture[Symbol.asyncDispose]();
  }
}

/** A folder that is not there stands for one that may not be read: the tests run as root, who may read all. */
const BY_GRPC = { contentPath: '/nonexistent/content', pollInterval: 200 };

contentStoreConformance('ContainerdStore, from disk', () => ContainerdUnderTest.start());
contentStoreConformance('ContainerdStore, by gRPC', () => ContainerdUnderTest.start(BY_GRPC), {
  outlivesDeletion: false,
});

describe(`ContainerdStore with ${containerdBinary()}`, { timeout: 4 * PATIENCE }, () => {
  it('tells a blob without an image once, and its deletion once', async () => {
    await using test = await ContainerdUnderTest.start();
    // containerd makes the folder for the first blob. It is watched from then on, and listed once more.
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

  it('never tells an image record that is older than the question, however many ask', async () => {
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

  it('tells blobs that garbage collection removes', async () => {
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

  it('goes on serving while containerd is away, and relists when it is back', async () => {
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

  it('waits for a containerd that is not there yet', async () => {
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

  it('does not take a blob of another namespace for its own', async () => {
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

  it('fails a stream whose file shrinks', async () => {
    await using test = await ContainerdUnderTest.start();
    const digest = await test.putBlob(BYTES);
    await using blob = await test.store.open(digest);
    assert.ok(blob !== undefined);
    await truncate(blobPath(test.fixture.contentPath, digest), 2_000_000);
    await assert.rejects(buffer(blob.stream({ start: 0, end: BYTES.length - 1 })), /too early/);
  });

  it('vouches for what containerd has verified, before and after a listing, until its file changes', async () => {
    await using test = await ContainerdUnderTest.start();
    const vouches = async (digest: Digest, store = test.store): Promise<boolean> => {
      await using blob = await store.open(digest);
      assert.ok(blob !== undefined);
      return await store.verifiedAtCommit(blob);
    };
    await using follower = new StoreFollower(test.store, PATIENCE);
    const [one, two] = [await test.putBlob(BYTES), await test.putBlob(Buffer.from('two'))];
    for (const digest of [one, two]) {
      await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
      assert.ok(await vouches(digest));
    }
    const path = blobPath(test.fixture.contentPath, one);
    const { atime, mtime } = await stat(path);
    await delay(20);
    await utimes(path, atime, mtime);
    assert.ok(!(await vouches(one)), 'only ctime tells of it');
    assert.ok(await vouches(two));
    await truncate(blobPath(test.fixture.contentPath, two), 2);
    assert.ok(!(await vouches(two)));
  });

  it('does not vouch for a file that containerd took over without verifying it', async () => {
    await using test = await ContainerdUnderTest.start();
    await using follower = new StoreFollower(test.store, PATIENCE);
    const digest = await test.fixture.putBlob(BYTES, { namespace: 'other' });
    const path = blobPath(test.fixture.contentPath, digest);
    await writeFile(path, randomBytes(BYTES.length));
    await delay(1_100);
    // The namespace gets its record by a commit of its own, and the bytes that are there.
    await test.putBlob(BYTES);
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    await using blob = await test.store.open(digest);
    assert.ok(blob !== undefined);
    assert.ok(!(await test.store.verifiedAtCommit(blob)));
  });

  it('relists now and then', async () => {
    await using test = await ContainerdUnderTest.start({ comparisonInterval: 50 });
    await using follower = new StoreFollower(test.store, PATIENCE);
    await follower.until(() => follower.relists >= 3, 'there are three relists');
  });

  it('asks for blobs that it does not remember', async () => {
    await using test = await ContainerdUnderTest.start({ maxKnownBlobs: 2 });
    const digests: Digest[] = [];
    for (let count = 0; count < 5; count += 1) digests.push(await test.putBlob(randomBytes(10)));
    for await (const batch of test.store.blobs()) assert.equal(batch.length, 5);
    for (const digest of digests) assert.equal((await test.store.stat(digest))?.size, 10);
  });
});
