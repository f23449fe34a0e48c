import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import {
  IMAGE_NAME,
  addToIndex,
  blobPath,
  describeJson,
  initLayout,
  putBlob,
  putJson,
  readIndex,
  readManifest,
  tap,
  writeIndex,
  type Descriptor,
} from './oci-layout.ts';

let layout: string;
beforeEach(async () => {
  layout = await mkdtemp(join(tmpdir(), 'peerglass-layout-'));
  await initLayout(layout);
});
afterEach(async () => {
  await rm(layout, { recursive: true });
});

describe('putBlob', () => {
  it('stores bytes under their digest, and leaves no other file', async () => {
    const digest = `sha256:${createHash('sha256').update('ab').digest('hex')}`;
    const descriptor = await putBlob(layout, 'text/plain', [Buffer.from('a'), Buffer.from('b')]);
    assert.deepEqual(descriptor, { mediaType: 'text/plain', digest, size: 2 });
    assert.equal(await readFile(blobPath(layout, digest), 'utf8'), 'ab');
    assert.deepEqual((await readdir(layout)).sort(), ['blobs', 'index.json', 'oci-layout']);
  });

  it('stores nothing when the source fails', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from('a');
      await Promise.reject(new Error('broken'));
    }
    await assert.rejects(putBlob(layout, 'text/plain', broken()), /broken/);
    assert.deepEqual(await readdir(join(layout, 'blobs/sha256')), []);
    assert.deepEqual((await readdir(layout)).sort(), ['blobs', 'index.json', 'oci-layout']);
  });
});

describe('putJson', () => {
  it('stores the document that describeJson describes', async () => {
    const manifest = { mediaType: 'x', layers: [] };
    const descriptor = await putJson(layout, 'x', manifest);
    assert.deepEqual(descriptor, describeJson('x', manifest));
    assert.deepEqual(await readManifest(layout, descriptor.digest), manifest);
  });
});

describe('addToIndex', () => {
  const image = (name: string, size: number): Descriptor => ({
    ...describeJson('x', { name, size }),
    annotations: { [IMAGE_NAME]: name },
  });

  it('replaces an image of the same name, and keeps the others', async () => {
    await addToIndex(layout, image('a', 1));
    await addToIndex(layout, image('b', 1));
    await addToIndex(layout, image('a', 2));
    assert.deepEqual(await readIndex(layout), [image('b', 1), image('a', 2)]);
    await writeIndex(layout, [image('c', 1)]);
    assert.deepEqual(await readIndex(layout), [image('c', 1)]);
  });
});

describe('initLayout', () => {
  it('keeps the index of an existing layout', async () => {
    const image = describeJson('x', {});
    await writeIndex(layout, [image]);
    await initLayout(layout);
    assert.deepEqual(await readIndex(layout), [image]);
  });
});

describe('tap', () => {
  it('yields each chunk after the callback saw it', async () => {
    const events: string[] = [];
    const chunks = [Buffer.from('a'), Buffer.from('b')];
    for await (const chunk of tap(chunks, (seen) => events.push(`seen ${seen.toString()}`))) {
      events.push(`got ${chunk.toString()}`);
    }
    assert.deepEqual(events, ['seen a', 'got a', 'seen b', 'got b']);
  });
});
