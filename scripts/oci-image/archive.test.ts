import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { runCommand } from '../system/command.ts';
import { toArchive } from './archive.ts';
import { blobPath, initLayout, putBlob } from './oci-layout.ts';

describe('toArchive', () => {
  it('packs a layout so that tar unpacks the same files', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-archive-'));
    t.after(() => rm(folder, { recursive: true }));
    const layout = join(folder, 'layout');
    await initLayout(layout);
    // More than one chunk, and a length that tar must pad.
    const bytes = Buffer.alloc(3 * 2 ** 20 + 1, 'x');
    const { digest } = await putBlob(layout, 'x', [bytes]);
    await toArchive(layout, join(folder, 'image.tar'));
    const unpacked = join(folder, 'unpacked');
    await runCommand(['mkdir', unpacked]);
    await runCommand(['tar', '-xf', join(folder, 'image.tar'), '-C', unpacked]);
    assert.deepEqual((await readdir(unpacked)).sort(), ['blobs', 'index.json', 'oci-layout']);
    assert.ok(bytes.equals(await readFile(blobPath(unpacked, digest))));
  });

  it('fails for a folder that is not a layout', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-archive-'));
    t.after(() => rm(folder, { recursive: true }));
    await assert.rejects(toArchive(folder, join(folder, 'image.tar')), { code: 'ENOENT' });
  });
});
