import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { blobPath } from './blob-file.ts';
import { ABSENT, contentStoreConformance } from '../testing/conformance/content-store.ts';
import { StoreUnavailableError } from './content-store.ts';
import { StoreFollower } from '../testing/store-follower.ts';
import { LayoutUnderTest } from '../testing/layout-fixture.ts';
import { OciLayoutStore } from './oci-layout-store.ts';

const PATIENCE = 30_000;
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';

contentStoreConformance('OciLayoutStore', async () => (await LayoutUnderTest.create()).begin());

describe('OciLayoutStore', () => {
  it('waits for a folder that does not exist yet, and for one that was removed', async () => {
    await using layout = await LayoutUnderTest.create();
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await assert.rejects(layout.store.images(), StoreUnavailableError);
    await assert.rejects(layout.store.stat(ABSENT), StoreUnavailableError);
    await assert.rejects(
      layout.store.blobs()[Symbol.asyncIterator]().next(),
      StoreUnavailableError,
    );
    await layout.begin();
    const first = await layout.putBlob(Buffer.from('first'));
    await follower.until(() => follower.blobs.has(first), 'the first blob is seen');
    await follower.settled();
    await rm(layout.path, { recursive: true });
    await assert.rejects(layout.store.open(first), StoreUnavailableError);
    const before = follower.relists;
    await layout.begin();
    await follower.until(() => follower.relists > before, 'there is a relist');
    const second = await layout.putBlob(Buffer.from('second'));
    await follower.until(() => follower.blobs.has(second), 'the second blob is seen');
    assert.ok(!follower.blobs.has(first));
  });

  it('notices that another folder replaced the watched one', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await follower.settled();
    await rename(layout.path, `${layout.path}.old`);
    await layout.begin();
    const digest = await layout.putBlob(Buffer.from('in the new folder'));
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
  });

  it('keeps its images while index.json is half-written', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    await using follower = new StoreFollower(layout.store, PATIENCE);
    const target = { mediaType: MEDIA_TYPE, digest: ABSENT, size: 3 };
    await layout.putImage('docker.io/library/demo:1.0', target);
    await follower.until(() => follower.images.size === 1, 'the image is seen');
    await writeFile(layout.index, '{"schemaVersion":2,"manif');
    assert.equal((await layout.store.images()).length, 1);
    await layout.putImage('docker.io/library/demo:2.0', target);
    await follower.until(() => follower.images.size === 2, 'the second image is seen');
    assert.equal(follower.count({ kind: 'image-deleted', name: 'docker.io/library/demo:1.0' }), 0);
  });

  it('takes names from the annotations, and ignores invalid entries', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const sound = { mediaType: MEDIA_TYPE, digest: ABSENT, size: 3 };
    const named = (name: unknown) => ({ 'org.opencontainers.image.ref.name': name });
    const full = { 'io.containerd.image.name': 'docker.io/library/demo:1.0' };
    await writeFile(
      layout.index,
      JSON.stringify({
        manifests: [
          { ...sound, annotations: { ...named('1.0'), ...full } },
          { ...sound, annotations: named('only-a-tag') },
          { ...sound, digest: 'sha256:short', annotations: named('a') },
          { ...sound, size: -1, annotations: named('b') },
          { ...sound, annotations: named(7) },
          sound,
          null,
          'text',
        ],
      }),
    );
    const names = (await layout.store.images()).map((image) => image.name);
    assert.deepEqual(names, ['docker.io/library/demo:1.0', 'only-a-tag']);
  });

  it('lists only files whose name is a digest', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const folder = join(layout.path, 'blobs', 'sha256');
    const digest = await layout.putBlob(Buffer.from('whole'));
    await writeFile(join(folder, `${'a'.repeat(64)}.tmp`), 'partial');
    await writeFile(join(folder, 'A'.repeat(64)), 'upper case');
    await mkdir(join(folder, 'b'.repeat(64)));
    const all = [];
    for await (const batch of layout.store.blobs()) all.push(...batch);
    assert.deepEqual(all, [{ digest, size: 5 }]);
  });

  it('fails a stream whose file shrinks', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const digest = await layout.putBlob(randomBytes(100_000));
    await using blob = await layout.store.open(digest);
    assert.ok(blob !== undefined);
    await truncate(blobPath(layout.path, digest), 60_000);
    await assert.rejects(buffer(blob.stream({ start: 0, end: 99_999 })), /40000 bytes too early/);
  });

  it('relists by comparison after something was modified', async () => {
    await using layout = await LayoutUnderTest.create(50);
    await layout.begin();
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await follower.until(() => follower.relists > 2, 'a fresh layout is compared again');
  });

  it('notices a new index.json with the size and the modification time of the old one', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const target = { mediaType: MEDIA_TYPE, digest: ABSENT, size: 3 };
    for (const name of ['docker.io/library/demo:1', 'docker.io/library/demo:2']) {
      const annotations = { 'io.containerd.image.name': name };
      await writeFile(layout.index, JSON.stringify({ manifests: [{ ...target, annotations }] }));
      await utimes(layout.index, 0, 0);
      const names = (await layout.store.images()).map((image) => image.name);
      assert.deepEqual(names, [name]);
    }
  });

  it('notices that the folder of blobs was removed', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const digest = await layout.putBlob(Buffer.from('soon gone'));
    await using follower = new StoreFollower(layout.store, PATIENCE);
    await follower.until(() => follower.blobs.has(digest), 'the blob is seen');
    await follower.settled();
    await rename(join(layout.path, 'blobs'), join(layout.path, 'elsewhere'));
    await follower.until(() => follower.blobs.size === 0, 'the blob is gone');
  });

  it('leaves no file open when a listing is aborted', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const folder = join(layout.path, 'blobs', 'sha256');
    for (let round = 0; round < 5; round += 1) {
      const stop = new AbortController();
      const listing = layout.store.blobs(stop.signal).next();
      stop.abort();
      await assert.rejects(listing);
    }
    const open = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    assert.ok(!open.includes(folder));
  });

  it('is unavailable when the folder of blobs cannot be read', async () => {
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const folder = join(layout.path, 'blobs', 'sha256');
    await rm(folder, { recursive: true });
    await symlink('sha256', folder);
    await assert.rejects(layout.store.blobs().next(), StoreUnavailableError);
  });

  it('warns once of an index.json that stays half-written', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
    await using layout = await LayoutUnderTest.create();
    await layout.begin();
    const store = new OciLayoutStore({ path: layout.path, logger });
    for (const half of ['{', '{"man', '{"manifests"']) {
      await writeFile(layout.index, half);
      await store.images();
    }
    assert.equal(lines.length, 1);
    await layout.writeIndex();
    await store.images();
    await writeFile(layout.index, '{');
    await store.images();
    assert.equal(lines.length, 2);
  });
});
