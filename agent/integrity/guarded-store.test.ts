import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { Digest } from '../oci/digest.ts';
import { blobPath } from '../store/blob-file.ts';
import { contentStoreConformance } from '../testing/conformance/content-store.ts';
import { StoreUnavailableError, type ContentStore } from '../store/content-store.ts';
import type { Ingests } from '../store/ingests.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { Follower } from '../store/follower.ts';
import { eventually } from '../testing/eventually.ts';
import { damage, Guarding, makeFolders, type GuardingInit } from '../testing/guarded-layout.ts';
import { GuardedStore } from './guarded-store.ts';
import type { IntegrityChecker } from './integrity-checker.ts';
import { stateOf } from './verification-results.ts';

const PATIENCE = 30_000;
const SMALL = randomBytes(100_000);
/** Hashed beside the event loop. */
const LARGE = randomBytes(5_000_000);

contentStoreConformance('GuardedStore', async () => {
  const { layout, data } = await makeFolders();
  const guard = await Guarding.start(layout, data);
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

/** The blob's bytes as the store gives them, or `undefined` when it has none. */
async function read(store: ContentStore, digest: Digest): Promise<Buffer | undefined> {
  await using blob = await store.open(digest);
  return blob && (await buffer(blob.stream({ start: 0, end: blob.size - 1 })));
}

async function listed(store: ContentStore): Promise<Digest[]> {
  const digests: Digest[] = [];
  for await (const batch of store.blobs()) digests.push(...batch.map(({ digest }) => digest));
  return digests;
}

/** Asks until the answer is that the blob is not there; whatever is given out meanwhile must be right. */
async function withheld(store: ContentStore, digest: Digest): Promise<void> {
  await eventually(async () => {
    assert.equal(await read(store, digest), undefined);
  });
  assert.equal(await store.stat(digest), undefined);
  assert.ok(!(await listed(store)).includes(digest));
}

describe('GuardedStore', () => {
  it('leaves the unfinished downloads of its client to whoever follows them', () => {
    const ingests: Ingests = {
      has: () => Promise.resolve(true),
      open: () => Promise.resolve(undefined),
    };
    const judge = { listen: () => undefined } as unknown as IntegrityChecker;
    const patrol = { newcomer: () => undefined, lookSoon: () => undefined };
    const guarded = (store: ContentStore) => new GuardedStore({ store, judge, patrol });
    assert.equal(guarded(new MemoryStore(ingests)).ingests, ingests);
    assert.equal(guarded(new MemoryStore()).ingests, undefined);
  });

  for (const [name, bytes] of [
    ['small', SMALL],
    ['large', LARGE],
  ] as const) {
    it(`reads a ${name} blob once, however many ask for it, and not again`, async () => {
      await using folders = await makeFolders();
      const digest = await folders.layout.putBlob(bytes);
      await using guard = await Guarding.start(folders.layout, folders.data, {
        patience: PATIENCE,
      });
      const all = await Promise.all(Array.from({ length: 20 }, () => read(guard.store, digest)));
      assert.ok(all.every((each) => each?.equals(bytes)));
      assert.ok((await read(guard.store, digest))?.equals(bytes));
      assert.equal(await guard.verified('right'), 1);
      assert.equal(await guard.verified('unsettled'), 0);
    });

    it(`never gives out a ${name} blob that was altered with its time set back, withdraws it and says so`, async () => {
      await using folders = await makeFolders();
      const { layout } = folders;
      const digest = await layout.putBlob(bytes);
      const other = await layout.putBlob(Buffer.from('other'));
      await using guard = await Guarding.start(layout, folders.data);
      await using follower = new Follower(guard.store, PATIENCE);
      await follower.settled();
      assert.ok((await read(guard.store, digest))?.equals(bytes));

      await damage(layout.path, digest);
      await withheld(guard.store, digest);
      await follower.sees({ kind: 'blob-deleted', digest });
      assert.deepEqual(await listed(guard.store), [other]);
      assert.equal((await guard.metrics.blobsCorrupt.get()).values[0]?.value, 1);
      assert.equal(await guard.verified('wrong'), 1);
      for (let count = 0; count < 5; count += 1) await read(guard.store, digest);
      const told = guard.log.filter((line) => line.includes('wrong bytes'));
      assert.equal(told.length, 1);
      assert.match(told[0] ?? '', /"level":50.*crictl rmi/);
      assert.ok(told[0]?.includes(digest) && told[0].includes('docker.io/library/app:1'));
    });
  }

  it('takes a blob back when its file is replaced by a right one, or mended in its place', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    await using guard = await Guarding.start(layout, folders.data);
    await using follower = new Follower(guard.store, PATIENCE);
    await follower.settled();
    for (const [round, mend] of [
      () => layout.putBlob(SMALL),
      () => writeFile(blobPath(layout.path, digest), SMALL),
    ].entries()) {
      await damage(layout.path, digest);
      await withheld(guard.store, digest);
      const before = follower.count({ kind: 'blob-added', digest });
      await mend();
      const added = (): boolean => follower.count({ kind: 'blob-added', digest }) > before;
      await follower.until(added, `it is announced again, round ${round}`);
      assert.ok((await read(guard.store, digest))?.equals(SMALL));
      assert.equal((await guard.metrics.blobsCorrupt.get()).values[0]?.value, 0);
    }
  });

  it('withholds a blob that was cut short, and forgets one that is gone', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(LARGE);
    await using guard = await Guarding.start(layout, folders.data);
    await truncate(blobPath(layout.path, digest), 4_999_999);
    await withheld(guard.store, digest);
    assert.equal(guard.judge.bad.size, 1);
    await layout.deleteBlob(digest);
    await eventually(() => {
      assert.equal(guard.judge.bad.size, 0);
    });
  });

  it('does not keep anybody waiting: verifying goes on, and the next one gets it', async () => {
    await using folders = await makeFolders();
    const digest = await folders.layout.putBlob(LARGE);
    await using guard = await Guarding.start(folders.layout, folders.data, { patience: 0 });
    await assert.rejects(read(guard.store, digest), StoreUnavailableError);
    await eventually(async () => {
      assert.ok((await read(guard.store, digest))?.equals(LARGE));
    });
    assert.equal(await guard.verified('right'), 1);
    const leaving = new AbortController();
    leaving.abort(new Error('left'));
    await damage(folders.layout.path, digest);
    await assert.rejects(guard.store.open(digest, leaving.signal), /left/);
  });

  it('answers that a blob is not there when it is removed while it is verified', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(LARGE);
    await using guard = await Guarding.start(layout, folders.data, { patience: PATIENCE });
    const reading = read(guard.store, digest);
    await layout.deleteBlob(digest);
    // Whoever had opened it in time may have it.
    const bytes = await reading;
    assert.ok(bytes === undefined || bytes.equals(LARGE));
    assert.equal(await read(guard.store, digest), undefined);
    assert.equal(guard.log.length, 0);
  });

  it('verifies the file that has taken the place of the one that was opened', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    await using guard = await Guarding.start(layout, folders.data, { patience: PATIENCE });
    assert.ok((await read(guard.store, digest))?.equals(SMALL));
    const fake = `${layout.path}/fake`;
    await writeFile(fake, Buffer.alloc(SMALL.length));
    await delay(1_100);
    await rename(fake, blobPath(layout.path, digest));
    await withheld(guard.store, digest);
  });

  it('calls a blob unreadable that the disk does not give, and nothing wrong while it is written', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    await using guard = await Guarding.start(layout, folders.data);
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

  it('does not read a blob that was verified at commit, and reads it when that no longer holds', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    let verified = true;
    const verifiedAtCommit: GuardingInit['verifiedAtCommit'] = () => Promise.resolve(verified);
    await using guard = await Guarding.start(layout, folders.data, { verifiedAtCommit });
    assert.ok((await read(guard.store, digest))?.equals(SMALL));
    assert.equal(await guard.verified('right'), 0);
    verified = false;
    assert.ok((await read(guard.store, digest))?.equals(SMALL));
    assert.equal(await guard.verified('right'), 1);
    verified = true;
    await damage(layout.path, digest);
    // A disk that loses bytes changes no times, so the check of the commit still passes.
    await using blob = await layout.store.open(digest);
    assert.ok(blob !== undefined);
    guard.verdicts.set(digest, { state: stateOf(blob), finding: 'wrong', checkedAt: Date.now() });
    assert.equal(await read(guard.store, digest), undefined);
  });
});

describe('verdicts', () => {
  it('outlive the agent: nothing is read again, and what was bad is withheld from the start', async () => {
    await using folders = await makeFolders();
    const { layout, data } = folders;
    const good = await layout.putBlob(LARGE);
    const bad = await layout.putBlob(SMALL);
    {
      await using guard = await Guarding.start(layout, data, { patience: PATIENCE });
      await read(guard.store, good);
      await damage(layout.path, bad);
      await withheld(guard.store, bad);
    }
    await using guard = await Guarding.start(layout, data);
    assert.deepEqual(await listed(guard.store), [good]);
    assert.ok((await read(guard.store, good))?.equals(LARGE));
    assert.equal(await read(guard.store, bad), undefined);
    assert.equal(await guard.verified('right'), 0);
    assert.equal(await guard.verified('wrong'), 0);
    assert.equal(guard.log.length, 1, 'it is reported once a start');
  });

  it('are released when the blob was mended while the agent was away', async () => {
    await using folders = await makeFolders();
    const { layout, data } = folders;
    const digest = await layout.putBlob(SMALL);
    {
      await using guard = await Guarding.start(layout, data);
      await damage(layout.path, digest);
      await withheld(guard.store, digest);
    }
    await layout.putBlob(SMALL);
    await using guard = await Guarding.start(layout, data);
    await using follower = new Follower(guard.store, PATIENCE);
    await follower.until(() => follower.blobs.has(digest), 'it is announced');
  });

  it('are left aside when their file is damaged, cut short or foreign', async () => {
    await using folders = await makeFolders();
    const { layout, data } = folders;
    const digest = await layout.putBlob(SMALL);
    {
      await using guard = await Guarding.start(layout, data);
      await read(guard.store, digest);
    }
    const path = join(data, 'verdicts');
    const text = await readFile(path, 'utf8');
    for (const [content, reads] of [
      [text, 0],
      [text.slice(0, -4), 1],
      [text.replace('peerglass-verdicts 1', 'peerglass-verdicts 2'), 1],
      [text.replace(' right ', ' r\0ght '), 1],
      [`${text}more\n`, 1],
      ['', 1],
    ] as const) {
      await writeFile(path, content);
      await using guard = await Guarding.start(layout, data);
      assert.ok((await read(guard.store, digest))?.equals(SMALL));
      assert.equal(await guard.verified('right'), reads, JSON.stringify(content));
      assert.equal(guard.log.length, reads, 'the log says so once');
    }
  });
});

describe('Patrol', () => {
  it('verifies what nobody vouches for and nobody asks for, as it was and as it comes', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const first = await layout.putBlob(LARGE);
    const options = { rate: 100_000_000 };
    await using guard = await Guarding.start(layout, folders.data, options);
    await using follower = new Follower(guard.store, PATIENCE);
    await eventually(() => {
      assert.equal(guard.verdicts.get(first)?.finding, 'right');
    });
    const second = await layout.putBlob(SMALL);
    await follower.sees({ kind: 'blob-added', digest: second });
    await eventually(() => {
      assert.equal(guard.verdicts.get(second)?.finding, 'right');
    });
  });

  it('reads again what was right long ago, and finds that the disk lies', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const [rotten, fresh] = [await layout.putBlob(SMALL), await layout.putBlob(LARGE)];
    await damage(layout.path, rotten);
    await damage(layout.path, fresh);
    await delay(1_100);
    const options = { rate: 100_000_000, interval: 60_000 };
    {
      // The verdicts of a time when the bytes were right: as on a disk that lies, no time tells.
      await using before = await Guarding.start(layout, folders.data);
      for (const [digest, age] of [
        [rotten, 61_000],
        [fresh, 1_000],
      ] as const) {
        await using blob = await layout.store.open(digest);
        assert.ok(blob !== undefined);
        const checkedAt = Date.now() - age;
        before.verdicts.set(digest, { state: stateOf(blob), finding: 'right', checkedAt });
      }
    }
    await using guard = await Guarding.start(layout, folders.data, options);
    await using follower = new Follower(guard.store, PATIENCE);
    await follower.sees({ kind: 'blob-deleted', digest: rotten });
    assert.deepEqual([...guard.judge.bad.keys()], [rotten]);
    assert.equal(await guard.verified('wrong'), 1);
  });
});
