import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { FileWatches } from './file-watches.ts';

/** Longer than any test: what wakes is the kernel. */
const NO_TIMER = 3_600_000;

describe('FileWatches', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pg-watch-'));
  });
  after(() => rm(folder, { recursive: true }));

  const put = async (name: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, 'content');
    return path;
  };

  it('wakes all waiters when the file is written to, truncated, renamed or removed', async () => {
    const path = await put('changing');
    const moved = join(folder, 'moved');
    using watch = new FileWatches(1, NO_TIMER).watch(path);
    for (const change of [
      () => appendFile(path, 'more'),
      () => truncate(path, 0),
      () => rename(path, moved),
      () => appendFile(moved, 'more'),
      () => rm(moved),
    ]) {
      const woken = Promise.all([watch.next(), watch.next()]);
      await change();
      await woken;
    }
  });

  it('wakes at its interval without a kernel watch, when there are too many or no file', async () => {
    const path = await put('unwatched');
    const watches = new FileWatches(1, 5);
    using first = watches.watch(path);
    using beyond = watches.watch(path);
    assert.deepEqual([first.isWatched, beyond.isWatched, watches.open], [true, false, 1]);
    await beyond.next();
    await beyond.next();
    using missing = new FileWatches(1, 5).watch(join(folder, 'missing'));
    assert.equal(missing.isWatched, false);
    await missing.next();
  });

  it('wakes who waits when it is disposed of, and frees its place', async () => {
    const path = await put('disposed');
    const watches = new FileWatches(1, NO_TIMER);
    const watch = watches.watch(path);
    const waiting = watch.next();
    watch[Symbol.dispose]();
    watch[Symbol.dispose]();
    await waiting;
    assert.equal(watches.open, 0);
    using next = watches.watch(path);
    assert.equal(next.isWatched, true);
  });
});
