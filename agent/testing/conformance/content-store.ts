import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';
import type { ContentStore, StoredBlob } from '../../store/content-store.ts';
import { changeTests, putManifest } from './content-store-changes.ts';

/** A store under test, with functions that change its content. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: ContentStore;
  putBlob(bytes: Buffer): Promise<Digest>;
  deleteBlob(digest: Digest): Promise<void>;
  /** Creates or updates the image record. */
  putImage(name: string, target: Descriptor): Promise<void>;
  deleteImage(name: string): Promise<void>;
}

export interface ConformanceOptions {
  /** Whether an open blob outlives its deletion; true by default. */
  readonly outlivesDeletion?: boolean;
}

/** Milliseconds for all tests of a store; far more than they take. */
const TIMEOUT = 120_000;

/** A digest of which no store has a blob. */
export const ABSENT = digestOf(Buffer.from('never stored'));

/**
 * The contract of {@link ContentStore} in code.
 *
 * @param factory makes an empty store; it is disposed of after each test
 */
export function contentStoreConformance(
  name: string,
  factory: () => Promise<StoreUnderTest>,
  options: ConformanceOptions = {},
): void {
  describe(`${name}: content store conformance`, { timeout: TIMEOUT }, () => {
    describe('images', () => {
      imageTests(factory);
    });
    describe('blobs', () => {
      blobTests(factory);
    });
    describe('open blobs', () => {
      openBlobTests(factory, options);
    });
    describe('changes', () => {
      changeTests(factory);
    });
  });
}

function imageTests(factory: () => Promise<StoreUnderTest>): void {
  const name = 'docker.io/library/demo:1.0';

  it('starts empty', async () => {
    await using test = await factory();
    assert.deepEqual(await test.store.images(), []);
    assert.equal(await test.store.image(name), undefined);
    assert.equal(await test.store.image(''), undefined);
    assert.equal(await test.store.image('no such:name@at all'), undefined);
  });

  it('holds a record until it is deleted', async () => {
    await using test = await factory();
    const first = await putManifest(test, '1');
    const second = await putManifest(test, '2');
    await test.putImage(name, first);
    await test.putImage('registry.example:5000/other:2', second);
    assert.deepEqual(await test.store.image(name), { name, target: first });
    const names = (await test.store.images()).map((image) => image.name);
    assert.deepEqual(names.sort(), [name, 'registry.example:5000/other:2']);
    await test.putImage(name, second);
    assert.deepEqual(await test.store.image(name), { name, target: second });
    await test.deleteImage(name);
    assert.equal(await test.store.image(name), undefined);
  });
}

function blobTests(factory: () => Promise<StoreUnderTest>): void {
  it('lists and finds what it holds', async () => {
    await using test = await factory();
    assert.deepEqual(await listed(test.store), []);
    const blobs = [];
    for (const size of [1, 1_000, 70_000]) {
      blobs.push({ digest: await test.putBlob(randomBytes(size)), size });
    }
    assert.deepEqual(await listed(test.store), blobs.sort(byDigest));
    for (const blob of blobs) assert.deepEqual(await test.store.stat(blob.digest), blob);
  });

  it('lists more blobs than one batch holds, each once', async () => {
    await using test = await factory();
    const digests = await Promise.all(
      Array.from({ length: 520 }, async (_, index) => await test.putBlob(Buffer.from(`${index}`))),
    );
    const found = await listed(test.store);
    assert.deepEqual(
      found.map((blob) => blob.digest),
      digests.sort(),
    );
  });

  it('does not find what it does not hold', async () => {
    await using test = await factory();
    assert.equal(await test.store.stat(ABSENT), undefined);
    assert.equal(await test.store.open(ABSENT), undefined);
    const digest = await test.putBlob(randomBytes(10));
    await test.deleteBlob(digest);
    assert.equal(await test.store.stat(digest), undefined);
    assert.equal(await test.store.open(digest), undefined);
    assert.deepEqual(await listed(test.store), []);
  });

  it('rejects with the reason of an aborted signal', async () => {
    await using test = await factory();
    const reason = new Error('not wanted any more');
    const signal = AbortSignal.abort(reason);
    const is = (error: unknown) => error === reason;
    await assert.rejects(test.store.images(signal), is);
    await assert.rejects(test.store.image('a', signal), is);
    await assert.rejects(test.store.stat(ABSENT, signal), is);
    await assert.rejects(test.store.open(ABSENT, signal), is);
    await assert.rejects(listed(test.store, signal), is);
  });
}

function openBlobTests(
  factory: () => Promise<StoreUnderTest>,
  { outlivesDeletion = true }: ConformanceOptions,
): void {
  const bytes = randomBytes(3 * 1024 * 1024 + 17);
  const last = bytes.length - 1;

  for (const [start, end] of [
    [0, last],
    [0, 0],
    [last, last],
    [1, 4_096],
    [1024 * 1024 - 1, 2 * 1024 * 1024],
  ] as const) {
    it(`streams ${start}-${end} of ${bytes.length} bytes`, async () => {
      await using test = await factory();
      await using blob = await opened(test, await test.putBlob(bytes));
      assert.equal(blob.size, bytes.length);
      const read = await buffer(blob.stream({ start, end }));
      assert.ok(read.equals(bytes.subarray(start, end + 1)));
    });
  }

  it('refuses ranges outside the blob, and a second stream', async () => {
    await using test = await factory();
    await using blob = await opened(test, await test.putBlob(Buffer.from('0123456789')));
    for (const [start, end] of [
      [-1, 3],
      [0, 10],
      [5, 3],
      [0.5, 3],
    ] as const) {
      assert.throws(() => blob.stream({ start, end }), RangeError);
    }
    assert.equal((await buffer(blob.stream({ start: 2, end: 4 }))).toString(), '234');
    assert.throws(() => blob.stream({ start: 2, end: 4 }));
  });

  it('streams to a slow reader without loss', async () => {
    await using test = await factory();
    await using blob = await opened(test, await test.putBlob(bytes));
    const hash = createHash('sha256');
    for await (const chunk of blob.stream({ start: 0, end: last })) {
      hash.update(chunk as Buffer);
      await new Promise(setImmediate);
    }
    assert.equal(`sha256:${hash.digest('hex')}`, blob.digest);
  });

  it('may be left unread, or be disposed of in the middle', async () => {
    await using test = await factory();
    const digest = await test.putBlob(bytes);
    await using unread = await opened(test, digest);
    assert.equal(unread.digest, digest);
    const blob = await opened(test, digest);
    for await (const chunk of blob.stream({ start: 0, end: last })) {
      assert.ok((chunk as Buffer).length > 0);
      break;
    }
    await blob[Symbol.asyncDispose]();
    const untouched = await opened(test, digest);
    untouched.stream({ start: 0, end: last });
    await untouched[Symbol.asyncDispose]();
  });

  it('stops with the reason of an aborted signal', async () => {
    await using test = await factory();
    await using blob = await opened(test, await test.putBlob(bytes));
    const stop = new AbortController();
    const reason = new Error('enough');
    const stream = blob.stream({ start: 0, end: last }, stop.signal);
    await assert.rejects(
      async () => {
        for await (const chunk of stream) {
          assert.ok((chunk as Buffer).length > 0);
          stop.abort(reason);
        }
      },
      (error) => error === reason,
    );
  });

  it('stays readable when deleted while open', { skip: !outlivesDeletion }, async () => {
    await using test = await factory();
    const digest = await test.putBlob(bytes);
    await using blob = await opened(test, digest);
    await test.deleteBlob(digest);
    assert.ok((await buffer(blob.stream({ start: 0, end: last }))).equals(bytes));
  });
}

async function opened(
  test: StoreUnderTest,
  digest: Digest,
): Promise<NonNullable<Awaited<ReturnType<ContentStore['open']>>>> {
  const blob = await test.store.open(digest);
  assert.ok(blob !== undefined);
  assert.equal(blob.digest, digest);
  return blob;
}

async function listed(store: ContentStore, signal?: AbortSignal): Promise<StoredBlob[]> {
  const all: StoredBlob[] = [];
  for await (const batch of store.blobs(signal)) all.push(...batch);
  return all.sort(byDigest);
}

function byDigest(a: StoredBlob, b: StoredBlob): number {
  return a.digest < b.digest ? -1 : 1;
}

/** The sha256 of the bytes. */
export function digestOf(bytes: Uint8Array): Digest {
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  assert.ok(digest !== undefined);
  return digest;
}
