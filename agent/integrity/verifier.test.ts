import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { blobPath } from '../store/blob-file.ts';
import { StoreUnavailableError, type OpenBlob } from '../store/content-store.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { GuardUnderTest, makeFolders } from '../testing/guarded-layout.ts';
import { HashThread } from './hash-thread.ts';
import { VerificationResults } from './verification-results.ts';
import { Verifier } from './verifier.ts';

const SMALL = randomBytes(100_000);
/** Large enough to be hashed in the thread. */
const LARGE = randomBytes(2_000_000);

function verifierOf(store: MemoryStore, results = new VerificationResults()): Verifier {
  return new Verifier({ store, results, thread: new HashThread(), metrics: createMetrics() });
}

describe('Verifier', () => {
  it('calls a blob unreadable when its file cannot be read, and unsettled while it is written', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    await using guard = await GuardUnderTest.start(layout, folders.data);
    await using blob = await layout.store.open(digest);
    assert.ok(blob?.file !== undefined);
    // Reading a folder fails as reading a broken disk does: with a code of the system.
    const file = { ...blob.file, path: layout.path };
    assert.equal(await guard.verifier.verify({ digest, size: 10, file }), 'unreadable');
    assert.equal(await guard.verifier.verify({ digest, size: 2e6, file }), 'unreadable');
    await writeFile(blobPath(layout.path, digest), 'half');
    await using half = await layout.store.open(digest);
    assert.ok(half !== undefined);
    assert.equal(await guard.verifier.verify(half), 'unsettled');
  });

  it('calls a blob gone that was deleted, and stores no result', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    await using guard = await GuardUnderTest.start(layout, folders.data);
    for (const bytes of [SMALL, LARGE]) {
      const digest = await layout.putBlob(bytes);
      await using blob = await layout.store.open(digest);
      assert.ok(blob !== undefined);
      await rm(blobPath(layout.path, digest));
      assert.equal(await guard.verifier.verify(blob), 'gone');
      assert.equal(guard.results.get(digest), undefined);
    }
  });

  it('reads a blob once for concurrent calls', async () => {
    const store = new MemoryStore();
    await using verifier = verifierOf(store);
    const digest = store.putBlob(SMALL);
    const subject = { digest, size: SMALL.length };
    const first = verifier.verify(subject);
    assert.equal(verifier.verify(subject), first);
    assert.equal(verifier.pending, 1);
    assert.equal(await first, 'right');
    assert.equal(verifier.pending, 0);
  });

  it('verifies a blob without a file through its store, and does not call an outage a bad blob', async () => {
    const store = new MemoryStore();
    const results = new VerificationResults();
    await using verifier = verifierOf(store, results);
    const signal = new AbortController().signal;
    const wrong = store.putBlob(LARGE, store.putBlob(SMALL));
    assert.equal(
      await verifier.verifySlowly({ digest: wrong, size: LARGE.length }, 1, signal),
      'wrong',
    );
    assert.equal(results.get(wrong)?.finding, 'wrong');
    store.available = false;
    const subject: Pick<OpenBlob, 'digest' | 'size'> = { digest: wrong, size: LARGE.length };
    await assert.rejects(verifier.verify(subject), StoreUnavailableError);
  });

  it('rejects what is under way when it is disposed of', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(LARGE);
    const verifier = new Verifier({
      store: layout.store,
      results: new VerificationResults(),
      thread: new HashThread(),
      metrics: createMetrics(),
    });
    await using blob = await layout.store.open(digest);
    assert.ok(blob !== undefined);
    const rejected = assert.rejects(verifier.verify(blob));
    await verifier[Symbol.asyncDispose]();
    await rejected;
  });
});
