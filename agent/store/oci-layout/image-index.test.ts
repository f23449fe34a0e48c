import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { ABSENT } from '../../testing/conformance/content-store.ts';
import { LayoutUnderTest } from '../../testing/layout-fixture.ts';
import { quiet } from '../../testing/quiet.ts';
import { ImageIndex } from './image-index.ts';

const TARGET = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: ABSENT, size: 3 };

describe('ImageIndex', () => {
  it('has no images without a file, and none after the file was removed', async () => {
    await using layout = await LayoutUnderTest.create();
    const index = new ImageIndex(layout.path, quiet);
    assert.equal((await index.load()).size, 0);
    await layout.begin();
    await layout.putImage('demo:1', TARGET);
    assert.deepEqual([...(await index.load()).keys()], ['demo:1']);
    await rm(layout.index);
    assert.equal((await index.load()).size, 0);
    assert.equal(index.broken, false);
  });

  it('keeps its images while the file cannot be parsed or is too large', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    await layout.putImage('demo:1', TARGET);
    const index = new ImageIndex(layout.path, pino({ level: 'silent' }));
    await index.load();
    for (const content of ['{"schema', '[]', '{"manifests":{}}', ' '.repeat(17 * 1024 * 1024)]) {
      await writeFile(layout.index, content);
      assert.deepEqual([...(await index.load()).keys()], ['demo:1']);
      assert.equal(index.broken, true);
    }
    await layout.putImage('demo:2', TARGET);
    assert.equal((await index.load()).size, 2);
    assert.equal(index.broken, false);
  });

  it('takes the later of two entries with the same name', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    const annotations = { 'org.opencontainers.image.ref.name': 'demo:1' };
    const manifests = [1, 2].map((size) => ({ ...TARGET, size, annotations }));
    await writeFile(layout.index, JSON.stringify({ manifests }));
    const images = await new ImageIndex(layout.path, quiet).load();
    assert.equal(images.get('demo:1')?.target.size, 2);
  });

  it('rejects when the file exists but cannot be read', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    await rm(layout.index);
    await mkdir(layout.index);
    await assert.rejects(new ImageIndex(layout.path, quiet).load(), { code: 'EISDIR' });
  });
});
