import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { blobPath } from '../store/blob-file.ts';
import { eventually } from '../testing/eventually.ts';
import { damage, GuardUnderTest, makeFolders, withheld } from '../testing/guarded-layout.ts';
import { StoreFollower } from '../testing/store-follower.ts';
import { stateOf } from './verification-results.ts';

const PATIENCE = 30_000;
const SMALL = randomBytes(100_000);
/** Large enough to be hashed in the thread. */
const LARGE = randomBytes(5_000_000);

describe('Scrubber', () => {
  it('verifies blobs that were there at the start and blobs that are added, without a request', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const first = await layout.putBlob(LARGE);
    const options = { rate: 100_000_000 };
    await using guard = await GuardUnderTest.start(layout, folders.data, options);
    await using follower = new StoreFollower(guard.store, PATIENCE);
    await eventually(() => {
      assert.equal(guard.results.get(first)?.finding, 'right');
    });
    const second = await layout.putBlob(SMALL);
    await follower.sees({ kind: 'blob-added', digest: second });
    await eventually(() => {
      assert.equal(guard.results.get(second)?.finding, 'right');
    });
  });

  it('verifies a right blob again after the interval, and finds that the disk lost bytes', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const [rotten, fresh] = [await layout.putBlob(SMALL), await layout.putBlob(LARGE)];
    await damage(layout.path, rotten);
    await damage(layout.path, fresh);
    await delay(1_100);
    const options = { rate: 100_000_000, interval: 60_000 };
    {
      // Results from when the bytes were right: a disk that loses bytes does not change the file's times.
      await using before = await GuardUnderTest.start(layout, folders.data);
      for (const [digest, age] of [
        [rotten, 61_000],
        [fresh, 1_000],
      ] as const) {
        await using blob = await layout.store.open(digest);
        assert.ok(blob !== undefined);
        const checkedAt = Date.now() - age;
        before.results.set(digest, { state: stateOf(blob), finding: 'right', checkedAt });
      }
    }
    await using guard = await GuardUnderTest.start(layout, folders.data, options);
    await using follower = new StoreFollower(guard.store, PATIENCE);
    await follower.sees({ kind: 'blob-deleted', digest: rotten });
    assert.deepEqual([...guard.checker.bad.keys()], [rotten]);
    assert.equal(await guard.verified('wrong'), 1);
  });

  it('reads nothing without a request when its rate is 0, and still checks bad blobs', async () => {
    await using folders = await makeFolders();
    const { layout } = folders;
    const digest = await layout.putBlob(SMALL);
    const idle = await layout.putBlob(LARGE);
    await using guard = await GuardUnderTest.start(layout, folders.data, { rate: 0 });
    await damage(layout.path, digest);
    await withheld(guard.store, digest);
    // No consumer follows the store: only the check of bad blobs can find the repair.
    await writeFile(blobPath(layout.path, digest), SMALL);
    await eventually(() => {
      assert.equal(guard.checker.bad.size, 0);
    });
    assert.equal(guard.results.get(idle), undefined);
  });
});
