import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

import { extract } from 'tar-stream';

import { toArchive } from '../../scripts/oci-image/archive.ts';
import { buildImage, hostPlatform } from './image.ts';
import {
  blobPath,
  IMAGE_NAME,
  readIndex,
  readManifest,
} from '../../scripts/oci-image/oci-layout.ts';

const NAME = 'registry.example.test/team/app:1.0';

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-images-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

test('every blob lies under its digest, and every diff ID is that of the unpacked tar', async (t) => {
  const layout = await temporaryFolder(t);
  const layers = [
    { compression: 'none', bytes: 3_000_000, files: 2 },
    { compression: 'gzip', bytes: 100 },
    { compression: 'zstd', bytes: 5000 },
    { files: 0 },
  ] as const;
  const image = await buildImage(layout, { name: NAME, layers });
  const stored = await readdir(join(layout, 'blobs/sha256'));
  assert.equal(stored.length, image.blobs.length);
  for (const { digest, size } of image.blobs) {
    const bytes = await readFile(blobPath(layout, digest));
    assert.equal(sha256(bytes), digest);
    assert.equal(bytes.length, size);
  }
  const unpack = [(it: Buffer) => it, gunzipSync, zstdDecompressSync, gunzipSync];
  const [manifest] = image.manifests;
  assert.ok(manifest !== undefined);
  for (const [index, layer] of manifest.layers.entries()) {
    const tar = unpack[index]?.(await readFile(blobPath(layout, layer.descriptor.digest)));
    assert.equal(tar && sha256(tar), layer.diffId);
  }
  const files = manifest.layers.map((layer) => layer.files.map((file) => file.size));
  assert.deepEqual(files, [[1_500_000, 1_500_000], [34, 33, 33], [1667, 1667, 1666], []]);
});

test('the same specification gives the same image, another seed another one', async (t) => {
  const layout = await temporaryFolder(t);
  const one = await buildImage(layout, { name: NAME });
  const two = await buildImage(layout, { name: 'registry.example.test/other:1.0', seed: NAME });
  const three = await buildImage(layout, { name: NAME, seed: 'another' });
  const [first, second, third] = [one, two, three].map((it) => it.manifests[0]?.layers[0]);
  assert.equal(first?.descriptor.digest, second?.descriptor.digest);
  assert.notEqual(first?.descriptor.digest, third?.descriptor.digest);
  const index = await readIndex(layout);
  assert.deepEqual(
    index.map((entry) => [entry.annotations?.[IMAGE_NAME], entry.digest]),
    [
      [two.name, two.target.digest],
      [NAME, three.target.digest],
    ],
  );
});

test('an index names absent platforms and holds nothing of them', async (t) => {
  const layout = await temporaryFolder(t);
  const absent = { os: 'linux', architecture: 's390x', layers: [], absent: true };
  const present = { ...hostPlatform(), layers: [{}] };
  const spec = { name: NAME, schema: 'docker', platforms: [absent, present] } as const;
  const image = await buildImage(layout, spec);
  assert.match(image.target.mediaType, /docker.*manifest\.list/);
  const { manifests = [] } = await readManifest(layout, image.target.digest);
  assert.deepEqual(
    manifests.map((it) => it.platform?.architecture),
    ['s390x', present.architecture],
  );
  const held = new Set(image.blobs.map((blob) => blob.digest));
  assert.deepEqual(
    manifests.map((it) => held.has(it.digest)),
    [false, true],
  );
});

test('an archive holds every file of the layout', async (t) => {
  const folder = await temporaryFolder(t);
  const layout = join(folder, 'layout');
  const image = await buildImage(layout, { name: NAME });
  const file = join(folder, 'image.tar');
  await toArchive(layout, file);
  const names: string[] = [];
  for await (const entry of createReadStream(file).pipe(extract())) {
    names.push(entry.header.name);
    entry.resume();
  }
  const blobs = image.blobs.map((blob) => `blobs/${blob.digest.replace(':', '/')}`);
  assert.deepEqual(names.sort(), [...blobs, 'index.json', 'oci-layout'].sort());
});
