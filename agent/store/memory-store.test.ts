import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ABSENT, contentStoreConformance } from '../testing/conformance/content-store.ts';
import { StoreUnavailableError } from './content-store.ts';
import { StoreFollower } from '../testing/store-follower.ts';
import { MemoryStore } from './memory-store.ts';

contentStoreConformance('MemoryStore', () => {
  const store = new MemoryStore();
  return Promise.resolve({
    store,
    putBlob: (bytes) => Promise.resolve(store.putBlob(bytes)),
    deleteBlob: (digest) => {
      store.deleteBlob(digest);
      return Promise.resolve();
    },
    putImage: (name, target) => {
      store.setImage(name, target);
      return Promise.resolve();
    },
    deleteImage: (name) => {
      store.deleteImage(name);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

describe('MemoryStore', () => {
  it('rejects every call during an outage, and ends the outage with a relist', async () => {
    const store = new MemoryStore();
    await using follower = new StoreFollower(store, 10_000);
    await follower.settled();
    store.available = false;
    await assert.rejects(store.images(), StoreUnavailableError);
    await assert.rejects(store.stat(ABSENT), StoreUnavailableError);
    const digest = store.putBlob(Buffer.from('meanwhile'));
    store.available = true;
    await follower.until(() => follower.relists === 2, 'there is a second relist');
    assert.ok(follower.blobs.has(digest));
  });
});
