import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { listen } from '../testing/listen.ts';
import { SlowClient } from './slow-client.ts';

const CHUNK = Buffer.alloc(1024 * 1024);
const PERIOD_MS = 20;

/** Starts a listener that sends chunks without end, each after `pause`. `ended` resolves when an answer has ended. */
async function start(
  t: TestContext,
  pause: (signal: AbortSignal) => Promise<unknown>,
): Promise<{ readonly origin: string; readonly ended: Promise<undefined> }> {
  const ended = Promise.withResolvers<undefined>();
  const origin = await listen(t, async (_req, res, signal) => {
    using client = new SlowClient(res, { isMoved: false, period: PERIOD_MS });
    res.writeHead(200);
    while (!signal.aborted) {
      await pause(signal);
      client.sent(CHUNK.length);
      if (!res.write(CHUNK)) await Promise.race([once(res, 'drain'), once(res, 'close')]);
    }
    ended.resolve(undefined);
  });
  return { origin, ended: ended.promise };
}

describe('SlowClient', () => {
  it('ends the answer of a client that does not read', async (t) => {
    const { origin, ended } = await start(t, () => Promise.resolve());
    const socket = connect(Number(new URL(origin).port), '127.0.0.1').pause();
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await ended;
    socket.destroy();
  });

  it('does not end an answer that waits for its source', async (t) => {
    const source = Promise.withResolvers<undefined>();
    const { origin } = await start(t, (signal) =>
      Promise.race([source.promise, once(signal, 'abort')]),
    );
    const response = fetch(origin);
    await delay(10 * PERIOD_MS);
    source.resolve(undefined);
    const reader = ((await response).body as ReadableStream<Uint8Array>).getReader();
    const { value = Buffer.alloc(0) } = await reader.read();
    assert.ok(value.length > 0);
    await reader.cancel();
  });

  it('does not end a body that waits for bytes to arrive, and ends it when it waits for its client', async (t) => {
    const growth = { isWaiting: true, waits: 1 };
    const waited = Promise.withResolvers<undefined>();
    const origin = await listen(t, async (_req, res, signal) => {
      using client = new SlowClient(res, { isMoved: true, growth, period: PERIOD_MS });
      client.sent(1);
      res.writeHead(200, { 'content-length': 2 }).write('o');
      await delay(10 * PERIOD_MS);
      // It waits again and again, as for a slow download.
      growth.isWaiting = false;
      for (let count = 0; count < 50; count += 1) {
        growth.waits += 1;
        await delay(PERIOD_MS / 5);
      }
      assert.ok(!signal.aborted);
      waited.resolve(undefined);
      await once(signal, 'abort');
    });
    const response = await fetch(origin);
    await waited.promise;
    await assert.rejects(response.text());
  });

  it('ends a body that the kernel moves when no byte is counted', async (t) => {
    const origin = await listen(t, async (_req, res, signal) => {
      using client = new SlowClient(res, { isMoved: true, period: PERIOD_MS });
      client.sent(1);
      res.writeHead(200, { 'content-length': 2 }).write('o');
      await once(signal, 'abort');
    });
    const response = await fetch(origin);
    await assert.rejects(response.text());
  });
});
