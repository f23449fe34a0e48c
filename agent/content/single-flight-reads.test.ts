import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryStore } from '../store/memory-store.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { SingleFlightReads } from './single-flight-reads.ts';

const image = makeImage(10);
const NAME = 'registry.example/team/app:1.0';
const signal = new AbortController().signal;

/** A store that counts its calls, and reads from it. */
function setUp(): {
  readonly store: MemoryStore;
  readonly reads: SingleFlightReads;
  readonly calls: { image: number; stat: number };
} {
  const store = new MemoryStore();
  putImage(store, image, NAME);
  const calls = { image: 0, stat: 0 };
  const reads = new SingleFlightReads({
    image(name) {
      calls.image += 1;
      return store.image(name);
    },
    stat(digest) {
      calls.stat += 1;
      return store.stat(digest);
    },
  });
  return { store, reads, calls };
}

describe('SingleFlightReads', () => {
  it('answers requests at the same time by one call of the store', async () => {
    const { reads, calls } = setUp();
    const { digest } = image.manifest;
    const targets = await Promise.all([reads.target(NAME, signal), reads.target(NAME, signal)]);
    assert.deepEqual(targets, [image.manifest, image.manifest]);
    assert.deepEqual(
      await Promise.all([reads.isHeld(digest, signal), reads.isHeld(digest, signal)]),
      [true, true],
    );
    assert.deepEqual(calls, { image: 1, stat: 1 });
  });

  it('notices a change after 10 ms', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { store, reads } = setUp();
    const { digest } = image.manifest;
    assert.equal(await reads.isHeld(digest, signal), true);
    store.deleteBlob(digest);
    now = 9;
    assert.equal(await reads.isHeld(digest, signal), true);
    now = 10;
    assert.equal(await reads.isHeld(digest, signal), false);
  });

  it('rejects for a client that has left, while the call goes on for others', async () => {
    const { reads } = setUp();
    const gone = new AbortController();
    const [left, other] = [reads.target(NAME, gone.signal), reads.target(NAME, signal)];
    gone.abort(new Error('left'));
    await assert.rejects(left, /left/);
    assert.deepEqual(await other, image.manifest);
  });
});
