import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { startStreamSource } from '../../testing/routing-node.ts';
import { boundedExchange } from './bounded-exchange.ts';
import { FrameReader } from './frame-reader.ts';
import { frame } from './frames.ts';

describe('boundedExchange', () => {
  it('returns the result and leaves the stream open, after a later abort of the signal too', async (t) => {
    const { near, far } = await (await startStreamSource(t)).open();
    const stop = new AbortController();
    far.send(frame(Uint8Array.of(7)));
    using reader = new FrameReader(near, 100);
    const message = await boundedExchange(near, () => reader.next(), stop.signal);
    assert.deepEqual([...(message ?? [])], [7]);
    stop.abort();
    assert.equal(near.status, 'open');
  });

  it('aborts the stream when the signal aborts, which ends a read that waits', async (t) => {
    const { near } = await (await startStreamSource(t)).open();
    const stop = new AbortController();
    using reader = new FrameReader(near, 100);
    const exchange = boundedExchange(near, () => reader.next(), stop.signal);
    stop.abort();
    await assert.rejects(exchange, /did not answer in time/);
    assert.equal(near.status, 'aborted');
  });

  it('aborts the stream when the exchange fails', async (t) => {
    const { near } = await (await startStreamSource(t)).open();
    const exchange = boundedExchange(
      near,
      () => Promise.reject(new Error('bad answer')),
      new AbortController().signal,
    );
    await assert.rejects(exchange, /bad answer/);
    assert.equal(near.status, 'aborted');
  });
});
