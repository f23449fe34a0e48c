import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { MemoryStore } from './memory-store.ts';
import { BlobTooLargeError, readBlob } from './read-blob.ts';

async function opened(
  bytes: Buffer,
): Promise<NonNullable<Awaited<ReturnType<MemoryStore['open']>>>> {
  const store = new MemoryStore();
  const blob = await store.open(store.putBlob(bytes));
  assert.ok(blob !== undefined);
  return blob;
}

describe('readBlob', () => {
  it('reads the whole blob, up to the limit and of no bytes', async () => {
    for (const length of [0, 1, 200_000]) {
      const bytes = randomBytes(length);
      assert.ok((await readBlob(await opened(bytes), length)).equals(bytes));
    }
  });

  it('reads nothing of a blob beyond the limit', async () => {
    const blob = await opened(randomBytes(11));
    await assert.rejects(readBlob(blob, 10), BlobTooLargeError);
    // A blob can be streamed once: it has not been.
    blob.stream({ start: 0, end: 10 });
  });

  it('rejects with the reason of its signal', async () => {
    const reason = new Error('enough');
    const reading = readBlob(await opened(randomBytes(10)), 10, AbortSignal.abort(reason));
    await assert.rejects(reading, (error) => error === reason);
  });
});
