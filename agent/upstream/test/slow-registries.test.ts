import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { TokenRegistry } from '../../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const BLOB = sha256(Buffer.from('blob'));
/** Time for the head of an answer: long enough for a machine that is busy. */
const TIMEOUT_MS = 2_000;
const DRIP_MS = 20;
const HEAD = 'HTTP/1.1 200 OK\r\n';

/** A server that answers each connection with these bytes, and then with the others for ever, a few at a time. */
async function dripping(
  t: TestContext,
  first: string,
  forever: string,
): Promise<{ origin: string; open: () => number; accepted: () => number }> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(first);
      const timer = setInterval(() => socket.write(forever), DRIP_MS);
      socket.once('close', () => {
        clearInterval(timer);
        sockets.delete(socket);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return { origin, open: () => sockets.size, accepted: () => accepted };
}

describe('a registry that never ends the head of its answer', () => {
  for (const [what, reference, method, dataPlane] of [
    ['a tag', { tag: '1' }, 'HEAD', 'auto'],
    ['a manifest', { tag: '1' }, 'GET', 'auto'],
    ['a blob', { blob: BLOB }, 'GET', 'auto'],
    ['a blob that is read as a stream', { blob: BLOB }, 'GET', 'stream'],
  ] as const) {
    it(`for ${what} is left in bounded time`, async (t) => {
      const registry = await dripping(t, HEAD, 'x: y\r\n');
      const { source } = await upstreamTo(t, [byHttp(registry)], {
        timeout: TIMEOUT_MS,
        dataPlane,
      });
      const { host } = new URL(registry.origin);
      await assert.rejects(source.fetch(requestFor(host, 'a', reference, { method }), signal), {
        code: 'UNAVAILABLE',
        message: /no answer in 2000 ms/,
      });
      assert.ok(registry.accepted() > 0);
      await eventually(() => {
        assert.equal(registry.open(), 0);
      });
    });
  }
});

describe('a token server', () => {
  for (const [what, first, forever] of [
    ['the head of its answer', HEAD, 'x: y\r\n'],
    ['its token', `${HEAD}Content-Length: 60000\r\n\r\n{"token":"`, 'a'],
    ['its token in chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'],
  ] as const) {
    it(`that never ends ${what} is left in bounded time`, async (t) => {
      const registry = await TokenRegistry.start(t);
      registry.addImage('a', '1', []);
      const tokens = await dripping(t, first, forever);
      registry.tokenOrigin = tokens.origin;
      const { source } = await upstreamTo(t, [byHttp(registry)], { timeout: TIMEOUT_MS });
      await assert.rejects(source.fetch(requestFor(registry.name, 'a', { tag: '1' }), signal), {
        code: 'UNAVAILABLE',
        message: /no answer in 2000 ms/,
      });
      assert.ok(tokens.accepted() > 0);
      await eventually(() => {
        assert.equal(tokens.open(), 0);
      });
    });
  }
});

describe('a registry that falls silent', () => {
  it('in a manifest is left in bounded time', async (t) => {
    const head = 'Content-Type: application/vnd.oci.image.manifest.v1+json\r\nContent-Length: 900';
    const registry = await dripping(t, `${HEAD}${head}\r\n\r\n{"schemaVersion":2,`, '');
    const { source } = await upstreamTo(t, [byHttp(registry)], { timeout: TIMEOUT_MS });
    const { host } = new URL(registry.origin);
    await assert.rejects(source.fetch(requestFor(host, 'a', { tag: '1' }), signal), {
      code: 'UNAVAILABLE',
      message: /no more bytes in time/,
    });
    await eventually(() => {
      assert.equal(registry.open(), 0);
    });
  });
});

describe('a registry that is down when the agent starts', () => {
  it('is used as soon as it is there', async (t) => {
    // The port is free again, and is the registry's later.
    const place = createServer().listen(0, '127.0.0.1');
    await once(place, 'listening');
    const { port } = place.address() as AddressInfo;
    place.close();
    await once(place, 'close');
    const origin = `http://127.0.0.1:${port}`;
    const { source } = await upstreamTo(t, [byHttp({ origin })]);
    const request = requestFor(`127.0.0.1:${port}`, 'a', { blob: BLOB });
    await assert.rejects(source.fetch(request, signal), {
      code: 'UNAVAILABLE',
      message: /no connection \(ECONNREFUSED\)/,
    });
    const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false, port });
    registry.addBlob(Buffer.from('blob'));
    await eventually(async () => {
      assert.equal(String(await bytesOf(await source.fetch(request, signal))), 'blob');
    });
  });
});
