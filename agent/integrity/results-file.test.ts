import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import {
  damage,
  GuardUnderTest,
  listed,
  makeFolders,
  readAll,
  withheld,
} from '../testing/guarded-layout.ts';
import { digestOf } from '../testing/conformance/content-store.ts';
import { StoreFollower } from '../testing/store-follower.ts';
import { ResultsFile } from './results-file.ts';
import { VerificationResults } from './verification-results.ts';

const PATIENCE = 30_000;
const SMALL = randomBytes(100_000);
/** Large enough to be hashed in the thread. */
const LARGE = randomBytes(5_000_000);

describe('ResultsFile', () => {
  it('keeps results over a restart: nothing is read again, and bad blobs are withheld from the start', async () => {
    await using folders = await makeFolders();
    const { layout, data } = folders;
    const good = await layout.putBlob(LARGE);
    const bad = await layout.putBlob(SMALL);
    {
      await using guard = await GuardUnderTest.start(layout, data, { patience: PATIENCE });
      await readAll(guard.store, good);
      await damage(layout.path, bad);
      await withheld(guard.store, bad);
    }
    await using guard = await GuardUnderTest.start(layout, data);
    assert.deepEqual(await listed(guard.store), [good]);
    assert.ok((await readAll(guard.store, good))?.equals(LARGE));
    assert.equal(await readAll(guard.store, bad), undefined);
    assert.equal(await guard.verified('right'), 0);
    assert.equal(await guard.verified('wrong'), 0);
    assert.equal(guard.log.length, 1, 'it is reported once a start');
  });

  it('does not keep a blob withheld that was repaired while the agent was down', async () => {
    await using folders = await makeFolders();
    const { layout, data } = folders;
    const digest = await layout.putBlob(SMALL);
    {
      await using guard = await GuardUnderTest.start(layout, data);
      await damage(layout.path, digest);
      await withheld(guard.store, digest);
    }
    await layout.putBlob(SMALL);
    await using guard = await GuardUnderTest.start(layout, data);
    await using follower = new StoreFollower(guard.store, PATIENCE);
    await follower.until(() => follower.blobs.has(digest), 'it is announced');
  });

  it('is ignored when it is damaged, cut short or has another version', async () => {
    await using folders = await makeFolders();
    const { layout, data } = folders;
    const digest = await layout.putBlob(SMALL);
    {
      await using guard = await GuardUnderTest.start(layout, data);
      await readAll(guard.store, digest);
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
      await using guard = await GuardUnderTest.start(layout, data);
      assert.ok((await readAll(guard.store, digest))?.equals(SMALL));
      assert.equal(await guard.verified('right'), reads, JSON.stringify(content));
      assert.equal(guard.log.length, reads, 'it is logged once');
    }
  });

  it('writes once more when it is stopped, and leaves no temporary file behind', async () => {
    await using folders = await makeFolders();
    const results = new VerificationResults();
    const logger = pino({ level: 'silent' });
    const file = new ResultsFile({ results, logger }, folders.data, 3_600_000);
    const stop = new AbortController();
    const running = file.run(stop.signal);
    const digest = digestOf(SMALL);
    const result = { state: '1:2:3:4', finding: 'right', checkedAt: 5 } as const;
    results.set(digest, result);
    stop.abort();
    await running;
    assert.deepEqual(await readdir(folders.data), ['verdicts']);
    const loaded = new VerificationResults();
    await new ResultsFile({ results: loaded, logger }, folders.data).load();
    assert.deepEqual([...loaded.entries()], [[digest, result]]);
  });
});
