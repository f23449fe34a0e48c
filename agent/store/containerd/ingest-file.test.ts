import assert from 'node:assert/strict';
import { readSync } from 'node:fs';
import { describe, it } from 'node:test';

import { digestOf } from '../../testing/conformance/content-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { IngestFixture } from '../../testing/ingest-fixture.ts';
import type { Ingest } from '../ingests.ts';
import { FileWatches } from './file-watches.ts';

const BYTES = Buffer.from('the bytes of the blob');
const DIGEST = digestOf(BYTES);
const NEVER = new AbortController().signal;

async function opened(test: IngestFixture): Promise<Ingest> {
  const ingest = await test.ingests.open(DIGEST);
  assert.ok(ingest !== undefined);
  return ingest;
}

describe('IngestFile', () => {
  it('wakes by the kernel watch alone, for a write, a commit and an abort', async () => {
    // The timer would take longer than the test may.
    const watches = new FileWatches(10, 3_600_000);
    await using test = await IngestFixture.create(watches);
    for (const end of ['commit', 'abort'] as const) {
      const download = await test.begin(DIGEST, BYTES.length + 1);
      await using ingest = await opened(test);
      const written = ingest.waitForMore(0, NEVER);
      await download.write(BYTES);
      assert.equal((await written).offset, BYTES.length);
      const removed = ingest.waitForMore(BYTES.length, NEVER);
      await download[end]();
      assert.equal((await removed).state, 'removed');
    }
  });

  it('shares one kernel watch among its waits, and closes it when it is disposed of', async () => {
    await using test = await IngestFixture.create();
    const download = await test.begin(DIGEST, BYTES.length);
    const ingest = await opened(test);
    assert.equal(test.watches.open, 0, 'none before the first wait');
    const waits = [0, 0, 0].map((offset) => ingest.waitForMore(offset, NEVER));
    assert.equal(test.watches.open, 1);
    await download.write(BYTES);
    await Promise.all(waits);
    await ingest[Symbol.asyncDispose]();
    await ingest[Symbol.asyncDispose]();
    assert.equal(test.watches.open, 0);
  });

  it('is not taken for a later download of the same digest', async () => {
    await using test = await IngestFixture.create();
    const wrong = await test.begin(DIGEST, BYTES.length);
    await wrong.write(Buffer.from(BYTES).fill(0));
    await using before = await opened(test);
    assert.equal(await before.verify(NEVER), false);
    await wrong.abort();
    const download = await test.begin(DIGEST, BYTES.length);
    await download.write(BYTES);
    assert.equal(await before.abort(NEVER), false);
    assert.equal(await before.state(), 'removed');
    await using now = await opened(test);
    assert.equal(await now.verify(NEVER), true);
  });

  it('leaves a wrong download alone that has changed since it was verified', async () => {
    await using test = await IngestFixture.create();
    const download = await test.begin(DIGEST, BYTES.length);
    await download.write(Buffer.from(BYTES).fill(0));
    await using ingest = await opened(test);
    assert.equal(await ingest.verify(NEVER), false);
    await download.restart();
    assert.equal(await ingest.abort(NEVER), false);
    assert.deepEqual(test.aborted, []);
  });

  it('gives the descriptor of the file, which outlives the commit', async () => {
    await using test = await IngestFixture.create();
    const download = await test.begin(DIGEST, BYTES.length);
    await download.write(BYTES);
    await using ingest = await opened(test);
    await download.commit();
    const buffer = Buffer.alloc(BYTES.length);
    assert.ok(ingest.fd !== undefined);
    readSync(ingest.fd, buffer, 0, buffer.length, 0);
    assert.ok(buffer.equals(BYTES));
  });

  it('leaves no file open', async () => {
    await using test = await IngestFixture.create();
    await test.begin(DIGEST, BYTES.length);
    const ingest = await opened(test);
    const { fd } = ingest;
    ingest.read({ start: 0, end: 3 }).on('error', () => undefined);
    await ingest[Symbol.asyncDispose]();
    await eventually(() => {
      assert.throws(() => readSync(fd ?? -1, Buffer.alloc(1)), { code: 'EBADF' });
    });
  });
});
