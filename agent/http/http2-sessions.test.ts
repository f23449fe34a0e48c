import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { before, describe, it } from 'node:test';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { startMirror, type MirrorNode, type MirrorNodeInit } from '../testing/mirror-node.ts';
import { fixedSource } from '../testing/test-tls.ts';
import { HttpListener, type HttpListenerInit, type RequestHandler } from './http-listener.ts';
import { sendBody } from './send-body.ts';
import type { ListenerTls } from './tls-server.ts';

const image = makeImage(20_000_000);
const [layer = image.manifest.digest] = image.layers;
const layerBytes = image.blobs.get(layer) ?? Buffer.alloc(0);
const path = `/v2/team/app/blobs/${layer}`;

/** Closes the session when it is disposed of. */
class Client implements Disposable {
  readonly session: ClientHttp2Session;

  constructor(origin: string, settings = {}) {
    this.session = connect(origin, { rejectUnauthorized: false, settings });
    this.session.on('error', () => undefined);
  }

  ask(headers: OutgoingHttpHeaders, endStream = true): ClientHttp2Stream {
    return this.session.request(headers, { endStream }).on('error', () => undefined);
  }

  /** Headers with the status, and the body up to its end or failure. */
  async get(headers: OutgoingHttpHeaders): Promise<{ headers: IncomingHttpHeaders; body: Buffer }> {
    const stream = this.ask(headers);
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await closedOf(stream);
    return { headers: answer, body: Buffer.concat(chunks) };
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }
}

/** Resolves when the stream has closed, also after a failure. */
function closedOf(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve();
    else stream.once('close', resolve);
  });
}

describe('Http2Sessions', { skip: noOpenssl, timeout: 300_000 }, () => {
  let tls: ListenerTls;
  before(async () => {
    await using authority = await Authority.create();
    tls = { source: fixedSource(await authority.material('node')), clientAuth: 'none' };
  });

  const start = async (init: MirrorNodeInit = {}): Promise<MirrorNode> => {
    const node = await startMirror({ ...init, tls });
    putImage(node.store, image);
    return node;
  };

  /** A listener with a handler of the test. */
  async function listen(
    handler: RequestHandler,
    init: HttpListenerInit = {},
  ): Promise<AsyncDisposable & { readonly origin: string }> {
    const listener = new HttpListener({ host: '127.0.0.1', port: 0 }, '--x', handler, {
      ...init,
      tls,
    });
    const origin = `https://127.0.0.1:${await listener.start()}`;
    return { origin, [Symbol.asyncDispose]: () => listener.stop(0) };
  }

  it('answers HEAD, errors and ranges as HTTP/1.1 does', async () => {
    await using node = await start();
    using client = new Client(node.origin);
    const head = await client.get({ ':path': path, ':method': 'HEAD' });
    assert.equal(head.headers[':status'], 200);
    assert.equal(head.headers['content-length'], String(layerBytes.length));
    const absent = path.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    for (const method of ['GET', 'HEAD']) {
      const miss = await client.get({ ':path': absent, ':method': method });
      assert.equal(miss.headers[':status'], 404);
      assert.equal(miss.body.length > 0, method === 'GET');
    }
    const post = await client.get({ ':path': path, ':method': 'DELETE' });
    assert.deepEqual([post.headers[':status'], post.headers.allow], [405, 'GET, HEAD']);
    const part = await client.get({ ':path': path, range: 'bytes=5-9' });
    assert.equal(part.headers[':status'], 206);
    assert.ok(part.body.equals(layerBytes.subarray(5, 10)));
    assert.equal(
      (await client.get({ ':path': path, range: 'bytes=99999999-' })).headers[':status'],
      416,
    );
    const whole = await client.get({ ':path': path, expect: '100-continue' });
    assert.ok(whole.body.equals(layerBytes));
    await eventually(async () => {
      const { values } = await node.metrics.httpResponseSize.get();
      const sums = values.filter(({ metricName }) => metricName?.endsWith('_sum'));
      const [ok] = sums.filter(({ labels }) => labels.code === 200 && labels.method === 'GET');
      assert.equal(ok?.value, layerBytes.length, 'bytes of a stream are its own');
    });
  });

  it('ends a broken body by END_STREAM, and no other body of the connection with it', async () => {
    async function* breaking(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1000);
      await Promise.resolve();
      throw new Error('the body broke');
    }
    await using listener = await listen(async (req, res, signal) => {
      res.writeHead(200, { 'content-length': 5000 });
      if (req.url === '/good') res.end(Buffer.alloc(5000));
      else await sendBody(res, breaking(), signal, () => undefined).catch(() => undefined);
    });
    using client = new Client(listener.origin);
    const broken = client.ask({ ':path': '/broken' });
    const frames: number[] = [];
    broken.on('data', (chunk: Buffer) => frames.push(chunk.length));
    await closedOf(broken);
    assert.equal(
      frames.reduce((sum, it) => sum + it, 0),
      1000,
    );
    // The client's nghttp2 may report the wrong length as an error. The server sends no reset.
    assert.ok(
      [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_PROTOCOL_ERROR].includes(broken.rstCode),
    );
    assert.equal((await client.get({ ':path': '/good' })).body.length, 5000);
  });

  it('aborts the signal of a handler when the client has left, and not when all was sent', async () => {
    const seen: string[] = [];
    await using listener = await listen(async (req, res, signal) => {
      const gone = once(signal, 'abort');
      const closed = once(res, 'close');
      res.writeHead(200, { 'content-length': 4 }).write('ab');
      if (req.url === '/whole') res.end('cd');
      await Promise.race([gone, closed]);
      seen.push(`${req.url} ${signal.aborted ? 'left' : 'sent'}`);
    });
    using client = new Client(listener.origin);
    await client.get({ ':path': '/whole' });
    const stream = client.ask({ ':path': '/part' });
    await once(stream, 'response');
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => {
      assert.deepEqual(seen, ['/whole sent', '/part left']);
    });
    const last = client.ask({ ':path': '/cut' });
    await once(last, 'response');
    client.session.destroy();
    await eventually(() => {
      assert.equal(seen[2], '/cut left');
    });
  });

  it('keeps a head, its fields and the streams within bounds', async () => {
    await using node = await start();
    using client = new Client(node.origin);
    await once(client.session, 'remoteSettings');
    const { maxConcurrentStreams, maxHeaderListSize, enablePush } = client.session.remoteSettings;
    assert.deepEqual([maxConcurrentStreams, maxHeaderListSize], [100, 16 * 1024]);
    assert.notEqual(enablePush, true);
    const refused = async (headers: OutgoingHttpHeaders): Promise<void> => {
      using other = new Client(node.origin);
      const stream = other.ask({ ':path': '/v2/', ...headers });
      let status: unknown;
      stream.on('response', (answer) => (status = answer[':status'])).resume();
      await closedOf(stream);
      assert.notEqual(status, 200);
    };
    await refused({ x: 'a'.repeat(40_000) });
    await refused(Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x-${i}`, 'a'])));
    assert.equal((await client.get({ ':path': '/v2/' })).headers[':status'], 200);
  });

  it('refuses requests of one address beyond its bound, and serves the others', async () => {
    const held = Promise.withResolvers<undefined>();
    await using listener = await listen(
      async (_req, res) => {
        await held.promise;
        res.end('{}');
      },
      { connectionsPerAddress: 10 },
    );
    using client = new Client(listener.origin);
    const streams = Array.from({ length: 15 }, () => client.ask({ ':path': '/' }).resume());
    const closed = streams.map((stream) => closedOf(stream));
    await eventually(() => {
      const codes = streams.map(({ rstCode }) => rstCode).filter(Boolean);
      assert.deepEqual(codes, Array<number>(5).fill(constants.NGHTTP2_REFUSED_STREAM));
    });
    held.resolve(undefined);
    await Promise.all(closed);
    assert.equal((await client.get({ ':path': '/' })).body.toString(), '{}');
  });

  it('closes a connection whose client resets streams as fast as it opens them', async () => {
    const ending = new AbortController();
    let running = 0;
    let max = 0;
    await using listener = await listen(async () => {
      running += 1;
      max = Math.max(max, running);
      // A handler that notices late, such as one that waits for its disk.
      await once(ending.signal, 'abort');
      running -= 1;
    });
    using client = new Client(listener.origin);
    await once(client.session, 'connect');
    const ended = new Promise((resolve) => client.session.once('close', resolve));
    while (!client.session.destroyed) {
      const begun = running;
      const streams = Array.from({ length: 50 }, () => client.ask({ ':path': '/' }));
      // Otherwise the streams would be reset before their handlers begin.
      await eventually(() => {
        assert.ok(running >= begun + 50 || client.session.destroyed);
      });
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    }
    await ended;
    assert.equal(max, 200);
    ending.abort();
  });

  it('does not read the body of a request', async () => {
    await using node = await start();
    using client = new Client(node.origin);
    const stream = client.ask({ ':path': '/v2/', ':method': 'GET' }, false).resume();
    stream.write(Buffer.alloc(1_000_000));
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    assert.equal(answer[':status'], 200);
    await eventually(async () => {
      assert.match(await node.metrics.registry.metrics(), /inflight\{handler="registry"\} 0/);
    });
    assert.equal((await client.get({ ':path': '/v2/' })).headers[':status'], 200);
  });

  it('buffers little of a body for a client that does not read', async () => {
    let written = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        await Promise.resolve();
        written += 64 * 1024;
        yield Buffer.alloc(64 * 1024);
      }
    }
    await using listener = await listen(async (_req: IncomingMessage, res, signal) => {
      res.writeHead(200, { 'content-length': 2 ** 40 });
      await sendBody(res, endless(), signal, () => undefined);
    });
    using client = new Client(listener.origin);
    const streams = Array.from({ length: 50 }, () => client.ask({ ':path': '/' }));
    await Promise.all(streams.map((stream) => once(stream, 'response')));
    let before = -1;
    await eventually(() => {
      const now = written;
      const settled = now === before;
      before = now;
      assert.ok(settled);
    });
    assert.ok(written <= 50 * 4 * 64 * 1024, `${written} bytes for 50 streams`);
  });
});
