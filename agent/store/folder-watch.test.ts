import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { quiet } from '../testing/quiet.ts';
import { FolderWatch, type FolderWatchInit } from './folder-watch.ts';

interface WatchUnderTest extends AsyncDisposable {
  readonly path: string;
  readonly watch: FolderWatch;
  /** `up`, `down` and names of entries, in order. */
  readonly events: string[];
  /** Resolves once the event has come. */
  until(event: string): Promise<void>;
}

async function start(init: Partial<FolderWatchInit> = {}): Promise<WatchUnderTest> {
  const parent = await mkdtemp(join(tmpdir(), 'pg-fw-'));
  const path = join(parent, 'watched');
  const events: string[] = [];
  const watch = new FolderWatch({
    path,
    logger: quiet,
    onEntry: (name) => events.push(name),
    onUp: () => events.push('up'),
    onDown: () => events.push('down'),
    checkInterval: 20,
    ...init,
  });
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  return {
    path,
    watch,
    events,
    until: (event) =>
      eventually(() => {
        assert.ok(events.includes(event), `${event} in ${events.join(' ')}`);
      }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      await rm(parent, { recursive: true });
    },
  };
}

describe('FolderWatch', () => {
  it('waits for its folder, and reports entries that are created, renamed and removed', async () => {
    await using test = await start();
    assert.equal(test.watch.up, false);
    await mkdir(test.path);
    await test.until('up');
    assert.equal(test.watch.up, true);
    await writeFile(join(test.path, 'a'), '');
    await rename(join(test.path, 'a'), join(test.path, 'b'));
    await rm(join(test.path, 'b'));
    await eventually(() => {
      assert.deepEqual(test.events, ['up', 'a', 'a', 'b', 'b']);
    });
  });

  it('reports writes only when it is asked to', async () => {
    for (const contents of [false, true]) {
      await using test = await start({ contents });
      await mkdir(test.path);
      await test.until('up');
      await writeFile(join(test.path, 'a'), '');
      await test.until('a');
      test.events.length = 0;
      await appendFile(join(test.path, 'a'), 'more');
      await writeFile(join(test.path, 'last'), '');
      await test.until('last');
      assert.equal(test.events.includes('a'), contents);
    }
  });

  it('reports that its folder was removed or replaced, and watches the new one', async () => {
    await using test = await start();
    await mkdir(test.path);
    await test.until('up');
    await rename(test.path, `${test.path}.old`);
    await mkdir(test.path);
    await test.until('down');
    test.events.length = 0;
    await test.until('up');
    await writeFile(join(test.path, 'new'), '');
    await test.until('new');
    await writeFile(join(`${test.path}.old`, 'stale'), '');
    await rm(test.path, { recursive: true });
    await test.until('down');
    assert.ok(!test.events.includes('stale'));
  });

  it('notices its folder by a watch on the one above it, long before the next check', async () => {
    await using test = await start({ checkInterval: 60_000 });
    // The first check finds nothing.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await writeFile(`${test.path}.other`, '');
    await mkdir(test.path);
    await test.until('up');
    await rename(test.path, `${test.path}.old`);
    await test.until('down');
    await rename(`${test.path}.old`, test.path);
    await eventually(() => {
      assert.equal(test.events.filter((event) => event === 'up').length, 2);
    });
  });

  it('notices that a folder above it was replaced: at a call of `check`, and by itself', async () => {
    for (const [checkInterval, isTold] of [
      [60_000, true],
      [20, false],
    ] as const) {
      await using test = await start({ checkInterval });
      const inner: string[] = [];
      await mkdir(join(test.path, 'inner'), { recursive: true });
      const watch = new FolderWatch({
        path: join(test.path, 'inner'),
        logger: quiet,
        onEntry: (name) => inner.push(name),
        onUp: () => inner.push('up'),
        onDown: () => inner.push('down'),
        checkInterval,
      });
      const stop = new AbortController();
      const running = watch.run(stop.signal);
      await eventually(() => {
        assert.deepEqual(inner, ['up']);
      });
      await rename(test.path, `${test.path}.old`);
      await mkdir(join(test.path, 'inner'), { recursive: true });
      if (isTold) watch.check();
      await eventually(() => {
        assert.deepEqual(inner, ['up', 'down', 'up']);
      });
      stop.abort();
      await running;
    }
  });
});
