import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { parseDigest } from '../oci/digest.ts';
import { ABSENT } from '../testing/conformance/content-store.ts';
import { LayoutUnderTest } from '../testing/layout-fixture.ts';
import { BlobFile, blobFileSize, blobPath } from './blob-file.ts';

const BYTES = Buffer.from('the blob');

async function makeLayout(): Promise<LayoutUnderTest> {
  return (await LayoutUnderTest.create()).begin();
}

describe('blobPath', () => {
  it('has a folder for each algorithm', () => {
    const sha512 = parseDigest(`sha512:${'a'.repeat(128)}`);
    assert.ok(sha512 !== undefined);
    assert.equal(blobPath('/root', sha512), `/root/blobs/sha512/${'a'.repeat(128)}`);
  });
});

describe('BlobFile', () => {
  it('does not take a folder or a missing file for a blob', async () => {
    await using layout = await makeLayout();
    assert.equal(await BlobFile.open(layout.path, ABSENT), undefined);
    assert.equal(await blobFileSize(layout.path, ABSENT), undefined);
    await mkdir(blobPath(layout.path, ABSENT));
    assert.equal(await BlobFile.open(layout.path, ABSENT), undefined);
    assert.equal(await blobFileSize(layout.path, ABSENT), undefined);
  });

  it('reads the file that was opened, also after another one replaced it', async () => {
    await using layout = await makeLayout();
    const digest = await layout.putBlob(BYTES);
    await using blob = await BlobFile.open(layout.path, digest);
    assert.ok(blob !== undefined);
    await writeFile(`${layout.path}.new`, 'another content');
    await rename(`${layout.path}.new`, blobPath(layout.path, digest));
    const read = await buffer(blob.stream({ start: 0, end: blob.size - 1 }));
    assert.ok(read.equals(BYTES));
    const { ino } = fstatSync(blob.fd, { bigint: true });
    assert.equal(blob.file.state.ino, ino);
    assert.equal(blob.file.state.size, BigInt(BYTES.length));
  });

  it('fails a stream whose file shrinks', async () => {
    await using layout = await makeLayout();
    const digest = await layout.putBlob(BYTES);
    await using blob = await BlobFile.open(layout.path, digest);
    assert.ok(blob !== undefined);
    await truncate(blobPath(layout.path, digest), 3);
    await assert.rejects(buffer(blob.stream({ start: 0, end: 7 })), /5 bytes too early/);
  });

  it('closes its file when it is disposed of, with the stream in it', async () => {
    await using layout = await makeLayout();
    const digest = await layout.putBlob(BYTES);
    const blob = await BlobFile.open(layout.path, digest);
    assert.ok(blob !== undefined);
    const { fd } = blob;
    const stream = blob.stream({ start: 0, end: 3 });
    await blob[Symbol.asyncDispose]();
    assert.ok(stream.closed);
    assert.throws(() => fstatSync(fd), { code: 'EBADF' });
    await rm(blobPath(layout.path, digest));
  });
});
