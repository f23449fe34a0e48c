import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';

import type { Descriptor } from '../../oci/descriptor.ts';
import { StoreFollower } from '../store-follower.ts';
import type { StoreUnderTest } from './content-store.ts';

/** Milliseconds that a test waits for a change at most; far more than a change takes. */
const PATIENCE = 30_000;

/** The part of the contract that is about `ContentStore.changes`. */
export function changeTests(factory: () => Promise<StoreUnderTest>): void {
  const name = 'docker.io/library/demo:1.0';

  it('begins with relist and ends when aborted', async () => {
    await using test = await factory();
    const stop = new AbortController();
    const kinds: string[] = [];
    for await (const change of test.store.changes(stop.signal)) {
      kinds.push(change.kind);
      stop.abort();
    }
    assert.deepEqual(kinds, ['relist']);
    for await (const change of test.store.changes(AbortSignal.abort())) assert.fail(change.kind);
  });

  it('reports blobs that are added and deleted', async () => {
    await using test = await factory();
    await using follower = new StoreFollower(test.store, PATIENCE);
    await follower.settled();
    const digest = await test.putBlob(randomBytes(100));
    await follower.until(() => follower.blobs.has(digest), 'the blob is there');
    await test.deleteBlob(digest);
    await follower.until(() => !follower.blobs.has(digest), 'the blob is gone');
    const again = await test.putBlob(randomBytes(100));
    await follower.until(() => follower.blobs.has(again), 'another blob is there');
  });

  it('reports images that are created, updated and deleted', async () => {
    await using test = await factory();
    await using follower = new StoreFollower(test.store, PATIENCE);
    await follower.settled();
    const first = await putManifest(test, '1');
    const second = await putManifest(test, '2');
    await test.putImage(name, first);
    await follower.until(() => follower.images.get(name) === first.digest, 'the image is there');
    await test.putImage(name, second);
    await follower.until(() => follower.images.get(name) === second.digest, 'the image moved');
    await test.deleteImage(name);
    await follower.until(() => !follower.images.has(name), 'the image is gone');
  });

  it('reports to every consumer, also to a later one', async () => {
    await using test = await factory();
    await using first = new StoreFollower(test.store, PATIENCE);
    await first.settled();
    const early = await test.putBlob(randomBytes(100));
    await first.until(() => first.blobs.has(early), 'the first consumer sees the early blob');
    await using second = new StoreFollower(test.store, PATIENCE);
    await second.until(() => second.blobs.has(early), 'the second consumer sees the early blob');
    const late = await test.putBlob(randomBytes(100));
    for (const each of [first, second]) {
      await each.until(() => each.blobs.has(late), 'both consumers see the late blob');
    }
  });

  it('loses nothing when much changes at once', async () => {
    await using test = await factory();
    await using follower = new StoreFollower(test.store, PATIENCE);
    await follower.settled();
    const digests = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => await test.putBlob(Buffer.from(`${index}`))),
    );
    await follower.until(() => digests.every((each) => follower.blobs.has(each)), 'all are seen');
    await Promise.all(digests.slice(0, 100).map((each) => test.deleteBlob(each)));
    await follower.until(() => follower.blobs.size === 100, 'half of them are gone');
  });
}

/** Puts a manifest of its own for each content, and gives its descriptor. */
export async function putManifest(test: StoreUnderTest, content: string): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, annotations: { content } }));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return { mediaType, digest: await test.putBlob(bytes), size: bytes.length };
}
