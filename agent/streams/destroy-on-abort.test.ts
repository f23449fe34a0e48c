import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { destroyOnAbort } from './destroy-on-abort.ts';

describe('destroyOnAbort', () => {
  it('destroys the stream with the reason of the signal', async () => {
    for (const early of [true, false]) {
      const stop = new AbortController();
      const reason = new Error('enough');
      if (early) stop.abort(reason);
      const stream = new Readable({ read: () => undefined });
      const failed = once(stream, 'error');
      destroyOnAbort(stream, stop.signal);
      if (!early) stop.abort(reason);
      assert.deepEqual(await failed, [reason]);
    }
  });

  it('wraps a reason that is not an error', async () => {
    const stream = new Readable({ read: () => undefined });
    const failed = once(stream, 'error');
    destroyOnAbort(stream, AbortSignal.abort('a word'));
    const [error] = (await failed) as [Error];
    assert.equal(error.cause, 'a word');
  });

  it('leaves no listener on a signal that outlives the stream', async () => {
    const { signal } = new AbortController();
    const stream = Readable.from(['all']);
    destroyOnAbort(stream, signal);
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    stream.resume();
    await once(stream, 'close');
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });
});
