import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { ABSENT } from '../../testing/conformance/content-store.ts';
import { ingestsConformance } from '../../testing/conformance/ingests.ts';
import { IngestFixture } from '../../testing/ingest-fixture.ts';
import { FileWatches } from './file-watches.ts';

ingestsConformance('IngestFolder', () => IngestFixture.create());
ingestsConformance('IngestFolder without kernel watches', () =>
  IngestFixture.create(new FileWatches(0, 20)),
);

describe('IngestFolder', () => {
  it('passes over downloads of other namespaces, and folders that are not downloads', async () => {
    await using test = await IngestFixture.create();
    assert.equal(await test.ingests.has(ABSENT), false, 'there is no folder yet');
    await test.begin(ABSENT, 10, 'moby');
    for (const [name, ref] of [
      ['empty', undefined],
      ['short', `k8s.io/layer-${ABSENT}`],
      ['other', `k8s.io/1/layer-${ABSENT}x`],
    ] as const) {
      await mkdir(join(test.path, 'ingest', name));
      if (ref !== undefined) await writeFile(join(test.path, 'ingest', name, 'ref'), ref);
    }
    assert.equal(await test.ingests.has(ABSENT), false);
    await test.begin(ABSENT, 10);
    assert.equal(await test.ingests.has(ABSENT), true);
  });

  it('has a problem that names the folder while this process cannot see it', async () => {
    await using test = await IngestFixture.create();
    assert.equal(
      await test.ingests.problem(),
      `${join(test.path, 'ingest')} cannot be read (ENOENT)`,
    );
    await test.begin(ABSENT, 10);
    assert.equal(await test.ingests.problem(), undefined);
  });

  it('does not open a download whose data file does not exist yet', async () => {
    await using test = await IngestFixture.create();
    await test.begin(ABSENT, 10);
    await rm(join(test.path, 'ingest', '1', 'data'));
    assert.equal(await test.ingests.has(ABSENT), true);
    assert.equal(await test.ingests.open(ABSENT), undefined);
  });

  it('does not know the total of a download for which containerd wrote none', async () => {
    await using test = await IngestFixture.create();
    const download = await test.begin(ABSENT);
    await download.write(Buffer.from('bytes'));
    await using ingest = await test.ingests.open(ABSENT);
    assert.deepEqual(await ingest?.progress(), { offset: 5, total: undefined, state: 'arriving' });
    assert.equal(await ingest?.verify(new AbortController().signal), undefined);
  });

  it('aborts by the reference without the namespace', async () => {
    await using test = await IngestFixture.create();
    const download = await test.begin(ABSENT, 5);
    await download.write(Buffer.from('wrong'));
    await using ingest = await test.ingests.open(ABSENT);
    const { signal } = new AbortController();
    assert.equal(await ingest?.verify(signal), false);
    assert.equal(await ingest?.abort(signal), true);
    assert.deepEqual(test.aborted, [`layer-${ABSENT}`]);
  });
});
