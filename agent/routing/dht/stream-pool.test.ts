import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Stream } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { startStreamSource } from '../../testing/routing-node.ts';
import { frame } from './frames.ts';
import { StreamPool } from './stream-pool.ts';

const noSignal = new AbortController().signal;
const IDLE_MS = 10 * 60_000;

/** A pool of streams to one peer; every stream that it opens is kept with its far end. */
async function poolToPeer(t: TestContext) {
  const source = await startStreamSource(t);
  const pool = new StreamPool(100);
  t.after(() => {
    pool.stop();
  });
  const opened: { near: Stream; far: Stream }[] = [];
  const open = async (): Promise<Stream> => {
    const stream = await source.open();
    opened.push(stream);
    return stream.near;
  };
  /** An exchange in which the peer answers with one message, and sends more that is unsolicited. */
  const exchange = (more: readonly number[] = []): Promise<void> =>
    pool.use(
      'peer',
      open,
      async ({ stream, reader }) => {
        const far = opened.find(({ near }) => near === stream)?.far;
        for (const byte of [0, ...more]) far?.send(frame(Uint8Array.of(byte)));
        assert.deepEqual([...((await reader.next()) ?? [])], [0]);
        if (more.length > 0) await until(() => !reader.idle);
      },
      noSignal,
    );
  return { pool, opened, exchange, open };
}

describe('StreamPool', () => {
  it('uses a stream again for the next exchange', async (t) => {
    const { opened, exchange } = await poolToPeer(t);
    await exchange();
    await exchange();
    assert.equal(opened.length, 1);
  });

  it('opens a stream for each concurrent exchange, and keeps four of them open', async (t) => {
    const { pool, opened, open } = await poolToPeer(t);
    const answer = Promise.withResolvers<undefined>();
    const running: Promise<undefined>[] = [];
    while (running.length < 6) {
      running.push(pool.use('peer', open, () => answer.promise, noSignal));
      await until(() => opened.length === running.length);
    }
    answer.resolve(undefined);
    await Promise.all(running);
    const stillOpen = () => opened.filter(({ near }) => near.writeStatus === 'writable');
    await until(() => stillOpen().length === 4);
    await pool.use('peer', open, () => Promise.resolve(), noSignal);
    assert.equal(opened.length, 6);
  });

  it('runs a failed exchange again on a new stream when the stream was idle before', async (t) => {
    const { pool, opened, open, exchange } = await poolToPeer(t);
    await exchange();
    let runs = 0;
    const result = await pool.use(
      'peer',
      open,
      () => (++runs === 1 ? Promise.reject(new Error('closed')) : Promise.resolve('done')),
      noSignal,
    );
    assert.equal(result, 'done');
    assert.deepEqual([runs, opened.length], [2, 2]);
    assert.equal(opened[0]?.near.status, 'aborted');
  });

  it('does not use a stream again on which an unsolicited message came', async (t) => {
    const { opened, exchange } = await poolToPeer(t);
    await exchange([1]);
    await exchange();
    assert.equal(opened.length, 2);
  });

  it('closes a stream that was idle for ten minutes', async (t) => {
    const { opened, exchange } = await poolToPeer(t);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    await exchange();
    t.mock.timers.tick(IDLE_MS);
    t.mock.timers.reset();
    await until(() => opened[0]?.near.writeStatus === 'closed');
    await exchange();
    assert.equal(opened.length, 2);
  });

  it('forgets an idle stream that ends with its connection', async (t) => {
    const { pool, opened, exchange } = await poolToPeer(t);
    await exchange();
    assert.equal(pool.peers, 1);
    opened[0]?.far.abort(new Error('the peer has gone'));
    await until(() => pool.peers === 0);
    await exchange();
    assert.deepEqual([pool.peers, opened.length], [1, 2]);
  });

  it('aborts the idle streams when it stops, and keeps none afterwards', async (t) => {
    const { pool, opened, exchange } = await poolToPeer(t);
    await exchange();
    pool.stop();
    assert.equal(opened[0]?.near.status, 'aborted');
    await exchange();
    await until(() => opened[1]?.near.writeStatus === 'closed');
  });
});
