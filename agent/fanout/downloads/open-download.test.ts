import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { digestOf } from '../../testing/arbiter-fixture.ts';
import { silent } from '../../testing/test-network.ts';
import { openDownload } from './open-download.ts';

const DIGEST = digestOf(1);

/** A store, and how many of its downloads are open. */
function start({ mock }: TestContext) {
  const ingests = new MemoryIngests();
  const opened = { count: 0 };
  const open = ingests.open.bind(ingests);
  let breaks = false;
  mock.method(ingests, 'open', async (digest: typeof DIGEST) => {
    const ingest = await open(digest);
    if (ingest === undefined) return undefined;
    opened.count += 1;
    const dispose = ingest[Symbol.asyncDispose].bind(ingest);
    ingest[Symbol.asyncDispose] = async () => {
      opened.count -= 1;
      await dispose();
    };
    if (breaks) ingest.progress = () => Promise.reject(new Error('the file has gone'));
    return ingest;
  });
  return { store: new MemoryStore(ingests), ingests, opened, break: () => (breaks = true) };
}

describe('openDownload', () => {
  it('gives what has arrived, which the caller closes', async (t) => {
    const { store, ingests, opened } = start(t);
    ingests.begin(DIGEST, 10).write(Buffer.alloc(3));
    const download = await openDownload(store, DIGEST, silent);
    assert.equal(download?.progress.offset, 3);
    assert.equal(opened.count, 1);
    await download.ingest[Symbol.asyncDispose]();
    assert.equal(opened.count, 0);
  });

  it('gives nothing, and keeps nothing open, without one and when it cannot be read', async (t) => {
    const { store, ingests, opened, ...broken } = start(t);
    assert.equal(await openDownload(store, DIGEST, silent), undefined);
    ingests.begin(DIGEST, 10);
    broken.break();
    assert.equal(await openDownload(store, DIGEST, silent), undefined);
    assert.equal(opened.count, 0);
  });

  it('gives nothing of one that has just gone, and does not keep it open', async (t) => {
    const { store, ingests, opened } = start(t);
    const download = ingests.begin(DIGEST, 10);
    const open = ingests.open.bind(ingests);
    t.mock.method(ingests, 'open', async (digest: typeof DIGEST) => {
      const ingest = await open(digest);
      download.end();
      return ingest;
    });
    assert.equal(await openDownload(store, DIGEST, silent), undefined);
    assert.equal(opened.count, 0);
  });
});
