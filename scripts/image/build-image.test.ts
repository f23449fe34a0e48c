import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { buildImage, checkSize, downloadSize, SIZE_LIMIT } from './build-image.ts';
import { PLATFORMS } from './platform.ts';

test('checkSize refuses an image that is too large', () => {
  checkSize({ sizes: { base: 1, node: SIZE_LIMIT - 2, agent: 1 } });
  assert.throws(() => {
    checkSize({ sizes: { base: 1, node: SIZE_LIMIT - 1, agent: 1 } });
  }, /60000001 bytes to download/);
});

test('downloadSize is the size of all layers', () => {
  assert.equal(downloadSize({ sizes: { base: 1, node: 20, agent: 300 } }), 321);
});

test('buildImage fails with the reason if no platform can be built, and keeps the previous output', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-build-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'image.tar'), 'previous');
  const build = buildImage({
    // Without sources.
    root: folder,
    output: folder,
    cache: join(folder, 'cache'),
    name: 'registry.example/peerglass:1.0',
    platforms: PLATFORMS,
    metadata: {
      version: '1.0.0',
      description: '',
      licence: 'MIT',
      created: '2024-01-01T00:00:00Z',
      revision: undefined,
      source: undefined,
    },
  });
  await assert.rejects(build, (error: Error) => {
    assert.match(error.message, /no platform could be built/);
    assert.match(String(error.cause), /package-lock\.json/);
    return true;
  });
  assert.ok((await readdir(folder)).includes('image.tar'));
});
