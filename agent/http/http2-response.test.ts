import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { eventually } from '../testing/eventually.ts';
import { listen } from '../testing/listen.ts';
import { fixedSource } from '../testing/test-tls.ts';
import {
  breakOff,
  cutOff,
  http2Stream,
  isSent,
  ownConnection,
  protocolOf,
  reset,
  streamBytes,
  waitsForClient,
} from './http2-response.ts';
import type { RequestHandler } from './http-listener.ts';
import type { ListenerTls } from './tls-server.ts';

describe('Http2Response', { skip: noOpenssl }, () => {
  let tls: ListenerTls;
  before(async () => {
    await using authority = await Authority.create();
    tls = { source: fixedSource(await authority.material('node')), clientAuth: 'none' };
  });

  it('counts the bytes of its body, and has no connection for itself', async (t) => {
    const seen: unknown[] = [];
    const origin = await listen(
      t,
      (req, res) => {
        seen.push(protocolOf(req), ownConnection(res));
        res.once('close', () => seen.push(streamBytes(res), isSent(res)));
        res.write('ab');
        res.end('cde');
        return Promise.resolve();
      },
      { tls },
    );
    const session = connect(origin, { rejectUnauthorized: false });
    t.after(() => {
      session.destroy();
    });
    const stream = session.request({ ':path': '/' }).resume();
    await once(stream, 'close');
    await eventually(() => {
      assert.deepEqual(seen, ['h2', undefined, 5, true]);
    });
  });

  it('ends the answer to a HEAD with its head, whatever body the handler gives', async (t) => {
    const origin = await listen(
      t,
      (_req, res) => {
        res.writeHead(200, { 'content-length': 3 }).end('abc');
        return Promise.resolve();
      },
      { tls },
    );
    const session = connect(origin, { rejectUnauthorized: false });
    t.after(() => {
      session.destroy();
    });
    const stream = session.request({ ':path': '/', ':method': 'HEAD' });
    const [head] = (await once(stream.resume(), 'response')) as [Record<string, string>];
    assert.equal(head['content-length'], '3');
    await once(stream, 'close');
    assert.equal(stream.rstCode, 0);
  });
});

describe('breakOff', () => {
  it('closes a connection of HTTP/1.1 after the bytes that were written', async (t) => {
    const origin = await listen(t, (req, res) => {
      assert.equal(protocolOf(req), 'http');
      assert.equal(ownConnection(res), req.socket);
      assert.equal(streamBytes(res), undefined);
      res.writeHead(200, { 'content-length': 10 }).write('abc');
      res.once('close', () => {
        assert.equal(isSent(res), false);
      });
      breakOff(res);
      return Promise.resolve();
    });
    const response = await fetch(origin);
    assert.equal(response.status, 200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    assert.equal(Buffer.from(value ?? []).toString(), 'abc');
    await assert.rejects(reader.read());
  });
});

describe('cutOff', { skip: noOpenssl }, () => {
  it('ends a response whose client does not read, over HTTP/1.1 and HTTP/2', async (t) => {
    await using authority = await Authority.create();
    const tls: ListenerTls = {
      source: fixedSource(await authority.material('node')),
      clientAuth: 'none',
    };
    const seen: unknown[] = [];
    const handler: RequestHandler = async (_req, res, signal) => {
      res.writeHead(200).write(Buffer.alloc(32 * 1024 * 1024));
      await delay(20);
      seen.push(waitsForClient(res));
      cutOff(res);
      if (!signal.aborted) await once(signal, 'abort');
      seen.push('ended');
    };
    const plain = await fetch(await listen(t, handler));
    await assert.rejects(plain.arrayBuffer());
    const session = connect(await listen(t, handler, { tls }), { rejectUnauthorized: false });
    t.after(() => {
      session.destroy();
    });
    const stream = session.request({ ':path': '/' });
    await once(stream, 'close');
    await eventually(() => {
      assert.deepEqual(seen, [true, 'ended', true, 'ended']);
    });
  });
});

describe('reset', { skip: noOpenssl }, () => {
  const handler: RequestHandler = async (_req, res, signal) => {
    res.writeHead(200, { 'content-length': 10 }).write('abc');
    await delay(20);
    reset(res);
    if (!signal.aborted) await once(signal, 'abort');
  };

  it('resets the connection over HTTP/1.1, with and without TLS', async (t) => {
    await using authority = await Authority.create();
    const source = fixedSource(await authority.material('node'));
    const tls: ListenerTls = { source, clientAuth: 'none' };
    const host = '127.0.0.1';
    const [plain, secure] = [await listen(t, handler), await listen(t, handler, { tls })];
    for (const socket of [
      connectTcp({ host, port: Number(new URL(plain).port) }),
      connectTls({ host, port: Number(new URL(secure).port), rejectUnauthorized: false }),
    ]) {
      const failed = once(socket.resume(), 'error') as Promise<[NodeJS.ErrnoException]>;
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      const [{ code }] = await failed;
      assert.equal(code, 'ECONNRESET');
    }
  });

  it('resets the stream over HTTP/2', async (t) => {
    await using authority = await Authority.create();
    const source = fixedSource(await authority.material('node'));
    const seen: unknown[] = [];
    const answer: RequestHandler = async (req, res, signal) => {
      seen.push(http2Stream(res) !== undefined);
      await handler(req, res, signal);
    };
    const origin = await listen(t, answer, { tls: { source, clientAuth: 'none' } });
    const session = connect(origin, { rejectUnauthorized: false });
    t.after(() => {
      session.destroy();
    });
    const stream = session.request({ ':path': '/' }).resume();
    await assert.rejects(once(stream, 'close'));
    assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
    assert.deepEqual(seen, [true]);
  });
});
