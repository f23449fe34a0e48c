import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { createMetrics } from '../metrics/metrics.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage } from '../testing/image.ts';
import { startMirror } from '../testing/mirror-node.ts';
import { HttpListener } from './http-listener.ts';
import { instrument } from './instrument.ts';
import { listenError } from './listen-error.ts';

/** Sends raw bytes and gives back everything that comes until the server closes. */
async function exchange(origin: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  socket.write(text);
  return await received(socket);
}

async function received(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

const get = (path: string, ...headers: string[]): string =>
  `${[`GET ${path} HTTP/1.1`, 'host: mirror', ...headers].join('\r\n')}\r\n\r\n`;

describe('listenError', () => {
  for (const [code, says] of [
    ['EADDRINUSE', /port in use; see who holds it/],
    ['EADDRNOTAVAIL', /not an address of this host; name one of it/],
    ['ENOTFOUND', /no such host name; name an IP address/],
    ['EAI_AGAIN', /cannot be looked up now; name an IP address/],
  ] as const) {
    it(`says what to do about ${code}`, () => {
      const { message } = listenError('--registry-addr', 'node:5000', code, undefined);
      assert.match(message, /^--registry-addr node:5000: /);
      assert.match(message, says);
    });
  }
});

describe('HttpListener', () => {
  it('answers a head that is too large with 431, and no HTTP with 400', async () => {
    await using node = await startMirror();
    const large = await exchange(node.origin, get('/v2/', `x: ${'a'.repeat(20_000)}`));
    assert.match(large, /^HTTP\/1.1 431 /);
    assert.match(await exchange(node.origin, 'SSH-2.0-x\r\n\r\n'), /^HTTP\/1.1 400 /);
  });

  it('lets an answer end although the next head is late', async () => {
    const late = Promise.withResolvers<undefined>();
    const listener = new HttpListener(
      { host: '127.0.0.1', port: 0 },
      '--x',
      async (_req, res) => {
        res.writeHead(200, { 'content-length': 2 }).write('o');
        await late.promise;
        res.end('k');
      },
      { headTimeout: 100 },
    );
    const origin = `http://127.0.0.1:${await listener.start()}`;
    const answer = exchange(origin, `${get('/')}GET /next HTTP/1.1\r\n`);
    // At the least: later than the head may be, and than it is looked for.
    await delay(500);
    late.resolve(undefined);
    assert.match(await answer, /\r\n\r\nok$/);
    await listener.stop(0);
  });

  it('tells of a client that speaks TLS to it', async () => {
    let told = 0;
    const listener = new HttpListener(
      { host: '127.0.0.1', port: 0 },
      '--x',
      () => Promise.resolve(),
      { onForeignTls: () => (told += 1) },
    );
    const origin = `http://127.0.0.1:${await listener.start()}`;
    assert.match(await exchange(origin, 'SSH-2.0-x\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.equal(told, 0);
    const client = connectTls({ port: Number(new URL(origin).port), host: '127.0.0.1' });
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    assert.match(error.code ?? '', /^ERR_SSL_/);
    assert.equal(told, 1);
    await listener.stop(0);
  });

  it('refuses shapes that smuggle requests', async () => {
    await using node = await startMirror();
    const both = get('/v2/', 'content-length: 5', 'transfer-encoding: chunked');
    assert.match(await exchange(node.origin, `${both}0\r\n\r\n`), /^HTTP\/1.1 400 /);
    const twice = get('/v2/', 'content-length: 0', 'content-length: 5');
    assert.match(await exchange(node.origin, twice), /^HTTP\/1.1 400 /);
  });

  it('answers pipelined requests in order, and closes where too many wait', async () => {
    await using node = await startMirror();
    const three = get('/v2/') + get('/nowhere') + get('/v2/', 'connection: close');
    const answers = await exchange(node.origin, three);
    const codes = [...answers.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, code]) => code);
    assert.deepEqual(codes, ['200', '404', '200']);
    const many = await exchange(node.origin, get('/v2/').repeat(500)).catch(() => '');
    assert.ok((many.match(/HTTP\/1.1 200/g) ?? []).length < 500);
  });

  it('closes the connection of a pipelined body that breaks', async () => {
    await using node = await startMirror();
    const image = makeImage(1_000_000);
    const [digest] = image.layers;
    assert.ok(digest !== undefined);
    const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
    node.store.putBlob(bytes, digest);
    const path = `/v2/a/blobs/${digest}`;
    const head = get(path, 'connection: close');
    const text = await exchange(node.origin, get('/v2/') + head);
    assert.ok(text.endsWith(bytes.toString('latin1')));
  });

  it('closes without an answer when the head does not come: 408 would make containerd repeat', async () => {
    await using node = await startMirror({ listener: { headTimeout: 200 } });
    const socket = connect(Number(new URL(node.origin).port), '127.0.0.1');
    socket.write('GET /v2/ HTTP/1.1\r\nhost:');
    assert.equal(await received(socket), '');
  });

  it('lets requests finish at its end, and ends those that take too long', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const listener = new HttpListener({ host: '127.0.0.1', port: 0 }, '--x', async (_req, res) => {
      res.writeHead(200, { 'content-length': 2 }).write('o');
      await held;
      res.end('k');
    });
    const port = await listener.start();
    const response = await fetch(`http://127.0.0.1:${port}/`);
    const stopped = listener.stop(60_000);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    release();
    assert.equal(await response.text(), 'ok');
    await stopped;

    const endless = new HttpListener({ host: '127.0.0.1', port: 0 }, '--x', async (_req, res) => {
      res.writeHead(200, { 'content-length': 2 }).write('o');
      await once(res, 'close');
    });
    const other = await fetch(`http://127.0.0.1:${await endless.start()}/`);
    const broken = assert.rejects(other.text());
    await endless.stop(50);
    await broken;
  });
});

describe('instrument', () => {
  it('counts a request once it was sent, and one whose client left as 499', async () => {
    const metrics = createMetrics();
    const handler = instrument(metrics, 'registry', async (req, res) => {
      if (req.url === '/slow') await delay(200);
      if (!res.destroyed) res.end(Buffer.alloc(1000));
      return 'registry';
    });
    const listener = new HttpListener({ host: '127.0.0.1', port: 0 }, '--x', handler);
    const origin = `http://127.0.0.1:${await listener.start()}`;
    await (await fetch(`${origin}/`)).arrayBuffer();
    await assert.rejects(fetch(`${origin}/slow`, { signal: AbortSignal.timeout(50) }));
    await eventually(async () => {
      const text = await metrics.registry.metrics();
      assert.match(text, /duration_seconds_count\{handler="registry",method="GET",code="200"\} 1/);
      assert.match(text, /duration_seconds_count\{handler="registry",method="GET",code="499"\} 1/);
      assert.match(
        text,
        /response_size_bytes_sum\{handler="registry",method="GET",code="200"\} 1[01]/,
      );
      assert.match(text, /http_requests_inflight\{handler="registry"\} 0/);
    });
    await listener.stop(0);
  });
});
