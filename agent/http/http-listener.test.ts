import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { makeImage } from '../testing/image.ts';
import { listen } from '../testing/listen.ts';
import { startMirror } from '../testing/mirror-node.ts';
import { HttpListener } from './http-listener.ts';

/** Sends raw bytes, and returns all that comes until the server closes the connection. */
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

describe('HttpListener', () => {
  it('answers a head that is too large with 431, and bytes that are no HTTP with 400', async () => {
    await using node = await startMirror();
    const large = await exchange(node.origin, get('/v2/', `x: ${'a'.repeat(20_000)}`));
    assert.match(large, /^HTTP\/1.1 431 /);
    assert.match(await exchange(node.origin, 'SSH-2.0-x\r\n\r\n'), /^HTTP\/1.1 400 /);
  });

  it('finishes an answer although the next head of the connection is late', async () => {
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
    // Longer than the head may take, and than the time until the next check.
    await delay(500);
    late.resolve(undefined);
    assert.match(await answer, /\r\n\r\nok$/);
    await listener.stop(0);
  });

  it('reports a client that speaks TLS to a plain listener', async () => {
    let reports = 0;
    const listener = new HttpListener(
      { host: '127.0.0.1', port: 0 },
      '--x',
      () => Promise.resolve(),
      { onForeignTls: () => (reports += 1) },
    );
    const origin = `http://127.0.0.1:${await listener.start()}`;
    assert.match(await exchange(origin, 'SSH-2.0-x\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.equal(reports, 0);
    const client = connectTls({ port: Number(new URL(origin).port), host: '127.0.0.1' });
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    assert.match(error.code ?? '', /^ERR_SSL_/);
    assert.equal(reports, 1);
    await listener.stop(0);
  });

  it('refuses requests whose length is ambiguous', async () => {
    await using node = await startMirror();
    const both = get('/v2/', 'content-length: 5', 'transfer-encoding: chunked');
    assert.match(await exchange(node.origin, `${both}0\r\n\r\n`), /^HTTP\/1.1 400 /);
    const twice = get('/v2/', 'content-length: 0', 'content-length: 5');
    assert.match(await exchange(node.origin, twice), /^HTTP\/1.1 400 /);
  });

  it('keeps connections for clients on this node, and closes idle ones for others', async (t) => {
    const origin = await listen(
      t,
      (_req, res) => {
        res.end('ok');
        return Promise.resolve();
      },
      {
        connections: { max: 3, maxLocal: 1 },
        // Other addresses of loopback stand for other hosts.
        isLocal: (address) => address === '127.0.0.1',
      },
    );
    const idle: Socket[] = [];
    const ask = async (localAddress: string): Promise<Socket> => {
      const socket = connect({
        port: Number(new URL(origin).port),
        host: '127.0.0.1',
        localAddress,
      });
      socket.on('error', () => undefined);
      socket.write(get('/'));
      idle.push(socket);
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      assert.match(chunk.toString(), /200 OK/);
      return socket;
    };
    t.after(() => {
      for (const socket of idle) socket.destroy();
    });
    const [oldest] = [await ask('127.0.0.2'), await ask('127.0.0.2'), await ask('127.0.0.3')];
    await ask('127.0.0.1');
    await delay(1_100); // Until then a request may be on its way.
    const closed = once(oldest, 'close');
    await ask('127.0.0.4');
    await closed;
  });

  it('answers pipelined requests in order, and closes a connection over which too many wait', async () => {
    await using node = await startMirror();
    const three = get('/v2/') + get('/nowhere') + get('/v2/', 'connection: close');
    const answers = await exchange(node.origin, three);
    const codes = [...answers.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, code]) => code);
    assert.deepEqual(codes, ['200', '404', '200']);
    const many = await exchange(node.origin, get('/v2/').repeat(500)).catch(() => '');
    assert.ok((many.match(/HTTP\/1.1 200/g) ?? []).length < 500);
  });

  it('sends the body of a pipelined request whole', async () => {
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

  it('closes without an answer when the head does not come, because containerd repeats after 408', async () => {
    await using node = await startMirror({ listener: { headTimeout: 200 } });
    const socket = connect(Number(new URL(node.origin).port), '127.0.0.1');
    socket.write('GET /v2/ HTTP/1.1\r\nhost:');
    assert.equal(await received(socket), '');
  });

  it('lets requests finish at its end, and cuts off those that exceed the grace period', async () => {
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
