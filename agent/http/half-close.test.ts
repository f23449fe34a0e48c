import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { leavesWhenClosed } from './half-close.ts';
import { HttpListener, type RequestHandler } from './http-listener.ts';

const get = (...headers: string[]): string =>
  `${['GET / HTTP/1.1', 'host: mirror', ...headers].join('\r\n')}\r\n\r\n`;

/** Starts a listener. The result sends text, closes the sending side, and returns all that comes. */
async function start(
  t: TestContext,
  handler: RequestHandler,
  halfClosedTimeout = 60_000,
): Promise<(requests: string) => Promise<string>> {
  const address = { host: '127.0.0.1', port: 0 };
  const listener = new HttpListener(address, '--x', handler, { halfClosedTimeout });
  const port = await listener.start();
  t.after(() => listener.stop(0));
  return (requests) => text(connect(port, '127.0.0.1').end(requests));
}

describe('serveHalfClosed', () => {
  it('lets a client that closes its sending side have the answers to all its requests', async (t) => {
    const halfClose = await start(t, async ({ socket }, res) => {
      if (!socket.readableEnded) await once(socket, 'end');
      res.writeHead(200, { 'content-length': 2 }).write('o');
      await delay(20);
      res.end('k');
    });
    assert.match(await halfClose(get()), /\r\n\r\nok$/);
    assert.equal((await halfClose(get().repeat(3))).match(/\r\n\r\nok/g)?.length, 3);
  });

  it('finishes an answer that had begun, unless it is to a range', async (t) => {
    const halfClose = await start(t, async ({ socket, headers }, res, signal) => {
      res.writeHead(200, { 'content-length': 2 }).write('o');
      if (!socket.readableEnded) await once(socket, 'end');
      if (headers.range !== undefined) await once(signal, 'abort');
      res.end('k');
    });
    assert.match(await halfClose(get()), /\r\n\r\nok$/);
    assert.match(await halfClose(get('range: bytes=0-')), /\r\n\r\no$/);
  });

  it('ends an answer at once that is marked so', async (t) => {
    const halfClose = await start(t, async ({ socket }, res, signal) => {
      res.writeHead(200, { 'content-length': 2 });
      leavesWhenClosed(res);
      res.write('o');
      if (!socket.readableEnded) await once(socket, 'end');
      if (!signal.aborted) await once(signal, 'abort');
    });
    assert.match(await halfClose(get()), /\r\n\r\no$/);
  });

  it(
    'notices a client that has left, although its connection looks the same',
    { timeout: 300_000 },
    async (t) => {
      const [asked, left] = [
        Promise.withResolvers<undefined>(),
        Promise.withResolvers<undefined>(),
      ];
      const address = { host: '127.0.0.1', port: 0 };
      const handler: RequestHandler = async (_req, _res, signal) => {
        asked.resolve(undefined);
        await once(signal, 'abort');
        left.resolve(undefined);
      };
      // So long that the test would end before.
      const listener = new HttpListener(address, '--x', handler, { halfClosedTimeout: 3_600_000 });
      const port = await listener.start();
      t.after(() => listener.stop(0));
      const socket = connect(port, '127.0.0.1');
      socket.write(get());
      await asked.promise;
      socket.destroy();
      await left.promise;
    },
  );

  it('takes a client that gets no byte for the timeout for one that has left', async (t) => {
    const left = Promise.withResolvers<undefined>();
    const halfClose = await start(
      t,
      async (_req, _res, signal) => {
        await once(signal, 'abort');
        left.resolve(undefined);
      },
      50,
    );
    assert.doesNotMatch(await halfClose(get()), / 200 /);
    await left.promise;
  });
});
