import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rename, rm, truncate, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { blobPath } from '../store/blob-file.ts';
import { contentStoreConformance } from '../testing/conformance/content-store.ts';
import { StoreUnavailableError, type ContentStore } from '../store/content-store.ts';
import type { Ingests } from '../store/ingests.ts';
import type { Provenance } from '../store/provenance.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { StoreFollower } from '../testing/store-follower.ts';
import { eventually } from '../testing/eventually.ts';
import {
  damage,
  GuardUnderTest,
  listed,
  makeFolders,
  readAll,
  withheld,
  type GuardUnderTestInit,
} from '../testing/guarded-layout.ts';
import { GuardedStore } from './guarded-store.ts';
import type { IntegrityChecker } from './integrity-checker.ts';
import { stateOf } from './verification-results.ts';

const PATIENCE = 30_000;
const SMALL = randomBytes(100_000);
/** Large enough to be hashed in the thread. */
const LARGE = randomBytes(5_000_000);

contentStoreConformance('GuardedStore', async () => {
  const { layout, data } = await makeFolders();
  const guard = await GuardUnderTest.start(layout, data);
  return {
    store: guard.store,
    putBlob: (bytes) => layout.putBlob(bytes),
    deleteBlob: (digest) => layout.deleteBlob(digest),
    putImage: (name, target) => layout.putImage(name, target),
    deleteImage: (name) => layout.deleteImage(name),
    async [Symbol.asyncDispose]() {
      await guard[Symbol.asyncDispose]();
      await layout[Symbol.asyncDispose]();
      await rm(data, { recursive: true, force: true });
    },
  };
});

describe('GuardedStore', () => {
  it('passes the unfinished downloads of its store through, and the origin of its images', () => {
    const ingests: Ingests = {
      has: () => Promise.resolve(true),
      open: () => Promise.resolve(undefined),
    };
    const checker = { listen: () => undefined } as unknown as IntegrityChecker;
    const scrubber = { added: () => undefined, checkSoon: () => undefined };
    const guarded = (store: ContentStore) => new GuardedStore({ store, checker, scrubber });
    assert.equal(guarded(new MemoryStore(ingests)).ingests, ingests);
    assert.equal(guarded(new MemoryStore()).ingests, undefined);
    const provenance: Provenance = {
      origin: () => Promise.resolve('registry'),
      mark: () => Promise.resolve(),
    };
    const pulling = Object.assign(new MemoryStore(), { provenance });
    assert.equal(guarded(pulling as ContentStore).provenance, provenance);
    assert.equal(guarded(new MemoryStore()).provenance, undefined);
  });

  for (const [name, bytes] of [
    ['small', SMALL],
    ['large', LARGE],
  ] as const) {
    it(`reads a ${name} blob once for all who open it, and not again`, async () => {
      await using folders = await makeFolders();
      const digest = await folders.layout.putBlob(bytes);
      await using guard = await GuardUnderTest.start(folders.layout, folders.data, {
        patience: PATIENCE,
      });
      const all = await Promise.all(Array.from({ length: 20 }, () => readAll(guard.store, digest)));
      assert.ok(all.every((each) => each?.equals(bytes)));
      assert.ok((await readAll(guard.store, digest))?.equals(bytes));
      assert.equal(await guard.verified('right'), 1);
      assert.equal(await guard.verified('unsettled'), 0);
    });

    it(`withholds, withdraws and logs a ${name} blob that was altered with its time set back`, async () => {
      await using folders = await makeFolders();
      const { layout } = folders;
      const digest = await layout.putBlob(bytes);
      const other = await layout.putBlob(Buffer.from('other'));
      await using guard = await GuardUnderTest.start(layout, folders.data);
      await using follower = new StoreFollower(guard.store, PATIENCE);
      await follower.settled();
      assert.ok((await readAll(guard.store, digest))?.equals(bytes));

      await damage(layout.path, digest);
      await withheld(guard.store, digest);
      await follower.sees({ kind: 'blob-deleted', digest });
      assert.deepEqual(await listed(guard.store), [other]);
      assert.equal((await guard.metrics.blobsCorrupt.get()).values[0]?.value, 1);
      assert.equal(await guard.verified('wrong'), 1);
      for (let count = 0; count < 5; count += 1) await readAll(guard.store, digest);
      const lines = guard.log.filter((line) => line.includes('wrong bytes'));
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', /"level":50.*crictl rmi/);
      assert.ok(lines[0]?.includes(digest) && lines[0].includes('docker.io/library/app:1'));
    });
  }

  it('serves a blob again when its file is replaced by a right one, or repaired in place', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    await using guard = await GuardUnderTest.start(layout, folders.data);
    await using follower = new StoreFollower(guard.store, PATIENCE);
    await follower.settled();
    for (const [round, repair] of [
      () => layout.putBlob(SMALL),
      () => writeFile(blobPath(layout.path, digest), SMALL),
    ].entries()) {
      await damage(layout.path, digest);
      await withheld(guard.store, digest);
      const before = follower.count({ kind: 'blob-added', digest });
      await repair();
      const added = (): boolean => follower.count({ kind: 'blob-added', digest }) > before;
      await follower.until(added, `it is announced again, round ${round}`);
      assert.ok((await readAll(guard.store, digest))?.equals(SMALL));
      assert.equal((await guard.metrics.blobsCorrupt.get()).values[0]?.value, 0);
    }
  });

  it('withholds a blob that was cut short, and forgets one that was deleted', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(LARGE);
    await using guard = await GuardUnderTest.start(layout, folders.data);
    await truncate(blobPath(layout.path, digest), 4_999_999);
    await withheld(guard.store, digest);
    assert.equal(guard.checker.bad.size, 1);
    await layout.deleteBlob(digest);
    await eventually(() => {
      assert.equal(guard.checker.bad.size, 0);
    });
  });

  it('does not wait beyond its patience, while the verification goes on for the next request', async () => {
    await using folders = await makeFolders();
    const digest = await folders.layout.putBlob(LARGE);
    await using guard = await GuardUnderTest.start(folders.layout, folders.data, { patience: 0 });
    await assert.rejects(readAll(guard.store, digest), StoreUnavailableError);
    await eventually(async () => {
      assert.ok((await readAll(guard.store, digest))?.equals(LARGE));
    });
    assert.equal(await guard.verified('right'), 1);
    const leaving = new AbortController();
    leaving.abort(new Error('left'));
    await damage(folders.layout.path, digest);
    await assert.rejects(guard.store.open(digest, leaving.signal), /left/);
  });

  it('does not find a blob that is deleted while it is verified', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(LARGE);
    await using guard = await GuardUnderTest.start(layout, folders.data, { patience: PATIENCE });
    const reading = readAll(guard.store, digest);
    await layout.deleteBlob(digest);
    // It may have been opened in time.
    const bytes = await reading;
    assert.ok(bytes === undefined || bytes.equals(LARGE));
    assert.equal(await readAll(guard.store, digest), undefined);
    assert.equal(guard.log.length, 0);
  });

  it('verifies the file that replaced the one that was verified', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    await using guard = await GuardUnderTest.start(layout, folders.data, { patience: PATIENCE });
    assert.ok((await readAll(guard.store, digest))?.equals(SMALL));
    const fake = `${layout.path}/fake`;
    await writeFile(fake, Buffer.alloc(SMALL.length));
    await delay(1_100);
    await rename(fake, blobPath(layout.path, digest));
    await withheld(guard.store, digest);
  });

  it('does not read a blob that was verified at commit, and reads it when that no longer holds', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    let verified = true;
    const verifiedAtCommit: GuardUnderTestInit['verifiedAtCommit'] = () =>
      Promise.resolve(verified);
    await using guard = await GuardUnderTest.start(layout, folders.data, { verifiedAtCommit });
    assert.ok((await readAll(guard.store, digest))?.equals(SMALL));
    assert.equal(await guard.verified('right'), 0);
    verified = false;
    assert.ok((await readAll(guard.store, digest))?.equals(SMALL));
    assert.equal(await guard.verified('right'), 1);
    verified = true;
    await damage(layout.path, digest);
    // A disk that loses bytes changes no times, so the check of the commit still passes.
    await using blob = await layout.store.open(digest);
    assert.ok(blob !== undefined);
    guard.results.set(digest, { state: stateOf(blob), finding: 'wrong', checkedAt: Date.now() });
    assert.equal(await readAll(guard.store, digest), undefined);
  });
});
