import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { sha256 } from '../../testing/image.ts';
import { waitForCommit } from './committed.ts';

const BYTES = Buffer.from('0123456789');
const DIGEST = sha256(BYTES);
const NEVER = new AbortController().signal;

async function begin() {
  const ingests = new MemoryIngests();
  const download = ingests.begin(DIGEST, BYTES.length);
  const ingest = await ingests.open(DIGEST);
  assert.ok(ingest !== undefined);
  return { download, ingest, store: new MemoryStore(ingests) };
}

describe('waitForCommit', () => {
  it('resolves when the store knows the blob, before or after the file is gone', async () => {
    const { download, ingest, store } = await begin();
    download.write(BYTES);
    const committed = waitForCommit(store, ingest, NEVER);
    download.end();
    await new Promise(setImmediate);
    store.putBlob(BYTES);
    assert.equal(await committed, true);
  });

  it('knows at once that a download was given up which has not got all bytes', async () => {
    const { download, ingest, store } = await begin();
    download.write(BYTES.subarray(1));
    download.end();
    assert.equal(await waitForCommit(store, ingest, NEVER), false);
  });

  it('gives up when the store does not get to know a whole blob', async () => {
    const { download, ingest, store } = await begin();
    download.write(BYTES);
    download.end();
    assert.equal(await waitForCommit(store, ingest, NEVER), false);
  });

  it('rejects with the reason of its signal', async () => {
    const { ingest, store } = await begin();
    const stop = new AbortController();
    const waiting = waitForCommit(store, ingest, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
  });
});
