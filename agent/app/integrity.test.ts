import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { pino } from 'pino';

import { createMetrics } from '../metrics/metrics.ts';
import { blobPath } from '../store/blob-file.ts';
import { eventually } from '../testing/eventually.ts';
import { LayoutUnderTest } from '../testing/layout-fixture.ts';
import { guardStore, type Guard } from './integrity.ts';
import { Loops } from './loops.ts';

const SCRUBBING = { rate: 1 << 30, interval: 60_000 } as const;

describe('guardStore', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-guard-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('finds a bad blob in the background, names its images in the log, and keeps the result', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    await using resources = new AsyncDisposableStack();
    const digest = await layout.putBlob(Buffer.from('what it was'));
    await writeFile(blobPath(layout.path, digest), 'what it is');
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const start = (): Promise<Guard> =>
      guardStore(
        { store: layout.store, metrics: createMetrics(), logger },
        { folder, ...SCRUBBING },
        resources,
      );
    const guard = await start();
    guard.nameImages({ imagesOf: () => ['docker.io/team/app:1.0'] });
    const loops = new Loops([guard]);
    loops.start();
    await eventually(() => {
      assert.deepEqual(Object.keys(guard.status()['bad'] as object), [digest]);
    });
    await loops.stop();
    assert.match(lines.join(''), /docker\.io\/team\/app:1\.0/);
    assert.equal(await guard.store.open(digest), undefined, 'a bad blob is not served');

    assert.ok(existsSync(join(folder, 'verdicts')));
    const next = await start();
    assert.equal(next.status()['verdicts'], 1, 'the next start knows the result');
  });

  it('keeps nothing without a folder', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    await using resources = new AsyncDisposableStack();
    const logger = pino({ level: 'silent' });
    const components = { store: layout.store, metrics: createMetrics(), logger };
    const guard = await guardStore(components, { folder: '', ...SCRUBBING }, resources);
    const loops = new Loops([guard]);
    loops.start();
    await loops.stop();
    assert.equal(guard.status()['verdicts'], 0);
  });
});
