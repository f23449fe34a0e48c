import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import type { Sink } from '../native/sink.ts';
import { WrongBodyError } from '../streams/wrong-body-error.ts';
import { eventually } from '../testing/eventually.ts';
import { listen } from '../testing/listen.ts';
import { connectTo, received } from '../testing/raw-http.ts';
import type { RequestHandler } from './http-listener.ts';
import { movedBytes } from './moved-bytes.ts';
import { moveBody, sendBody, sendWhole } from './send-body.ts';

const LENGTH = 10;

/** Asks a listener over a connection of its own, and gives all bytes of the answer behind its head. */
async function bodyOf(t: TestContext, handler: RequestHandler): Promise<string> {
  const origin = await listen(t, handler);
  const socket = await connectTo(origin);
  const answer = received(socket);
  socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  const [, body = ''] = (await answer).split('\r\n\r\n');
  return body;
}

async function* chunks(...texts: readonly (string | Error)[]): AsyncGenerator<Buffer> {
  await Promise.resolve();
  for (const text of texts) {
    if (text instanceof Error) throw text;
    yield Buffer.from(text);
  }
}

describe('sendBody', () => {
  it('sends all chunks, and reports the bytes of each', async (t) => {
    const sent: number[] = [];
    const body = await bodyOf(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': LENGTH });
      await sendBody(res, chunks('0123', '456789'), signal, (bytes) => sent.push(bytes));
    });
    assert.equal(body, '0123456789');
    assert.deepEqual(sent, [4, 6]);
  });

  it('ends the connection after the bytes that came before a failure, and throws that', async (t) => {
    const failed = Promise.withResolvers<unknown>();
    const body = await bodyOf(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': LENGTH });
      await sendBody(res, chunks('0123', new Error('disk')), signal, () => undefined).catch(
        failed.resolve,
      );
    });
    assert.equal(body, '0123');
    assert.match(String(await failed.promise), /disk/);
  });

  it('resets the connection when the bytes are wrong', async (t) => {
    const origin = await listen(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': LENGTH });
      const body = chunks('0123', new WrongBodyError('wrong'));
      await sendBody(res, body, signal, () => undefined).catch(() => undefined);
    });
    const socket = await connectTo(origin);
    const failed = once(socket.resume(), 'error') as Promise<[NodeJS.ErrnoException]>;
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const [{ code }] = await failed;
    assert.equal(code, 'ECONNRESET');
  });

  it('does not wait for the client when the body is going to fail', async (t) => {
    const [ended, failed] = [new AbortController(), Promise.withResolvers<unknown>()];
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        await Promise.resolve();
        ended.signal.throwIfAborted();
        yield Buffer.alloc(64 * 1024);
      }
    }
    let isBlocked = false;
    const origin = await listen(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': 2 ** 40 });
      const onSent = (): void => void (isBlocked = res.writableNeedDrain);
      await sendBody(res, endless(), signal, onSent, ended.signal).catch(failed.resolve);
    });
    const socket = (await connectTo(origin)).pause();
    t.after(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    // Blocked for good once the buffers of the system are full.
    await eventually(() => {
      assert.ok(isBlocked || socket.bytesRead > 0);
    });
    ended.abort(new WrongBodyError('wrong'));
    assert.match(String(await failed.promise), /wrong/);
  });

  it('stops reading when the client has left', async (t) => {
    const ended = Promise.withResolvers<undefined>();
    async function* endless(): AsyncGenerator<Buffer> {
      try {
        for (;;) {
          await Promise.resolve();
          yield Buffer.alloc(64 * 1024);
        }
      } finally {
        ended.resolve(undefined);
      }
    }
    const origin = await listen(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': 2 ** 40 });
      await sendBody(res, endless(), signal, () => undefined);
    });
    const socket = await connectTo(origin);
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'readable');
    socket.destroy();
    await ended.promise;
  });
});

describe('moveBody', () => {
  /** Moves bytes past the response, as the kernel does. */
  const moveTo =
    (...texts: readonly string[]) =>
    async (sink: Sink): Promise<void> => {
      const [first = '', ...rest] = texts;
      await sink.write(Buffer.from(first));
      for (const text of rest) {
        sink.socket.write(text);
        sink.moved(text.length);
      }
    };

  it('counts bytes that were written and bytes that were moved', async (t) => {
    const sent: number[] = [];
    const moved = Promise.withResolvers<number>();
    const body = await bodyOf(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': LENGTH });
      await moveBody(res, moveTo('0123', '456', '789'), signal, (bytes) => sent.push(bytes));
      moved.resolve(movedBytes(res));
    });
    assert.equal(body, '0123456789');
    assert.deepEqual(sent, [4, 3, 3]);
    assert.equal(await moved.promise, 6);
  });

  it('ends the connection after the bytes that came before a failure, and throws that', async (t) => {
    const failed = Promise.withResolvers<unknown>();
    const body = await bodyOf(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': LENGTH });
      const fail = async (sink: Sink): Promise<void> => {
        await moveTo('0123', '456')(sink);
        throw new Error('disk');
      };
      await moveBody(res, fail, signal, () => undefined).catch(failed.resolve);
    });
    assert.equal(body, '0123456');
    assert.match(String(await failed.promise), /disk/);
  });
});

describe('sendWhole', () => {
  it('resolves when the client has all bytes', async (t) => {
    const done = Promise.withResolvers<undefined>();
    const body = await bodyOf(t, async (_req, res, signal) => {
      res.writeHead(200, { 'content-length': LENGTH });
      await sendWhole(res, Buffer.from('0123456789'), signal, undefined);
      done.resolve(undefined);
    });
    assert.equal(body, '0123456789');
    await done.promise;
  });

  it('closes the connection of a client that does not read, when it is overdue', async (t) => {
    const overdue = new AbortController();
    let ended = false;
    const origin = await listen(t, async (_req, res, signal) => {
      const length = 64 * 1024 * 1024;
      res.writeHead(200, { 'content-length': length });
      await sendWhole(res, Buffer.alloc(length), signal, overdue.signal);
      ended = true;
    });
    const socket = await connectTo(origin);
    socket.on('error', () => undefined).pause();
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'readable');
    assert.equal(ended, false);
    overdue.abort();
    await eventually(() => {
      assert.ok(ended);
    });
    socket.destroy();
  });
});
