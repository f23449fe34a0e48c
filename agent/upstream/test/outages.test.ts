import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Content } from '../../content/content-source.ts';
import { startProxy } from '../../testing/connect-proxy.ts';
import { eventually } from '../../testing/eventually.ts';
import { TcpRelay } from '../../testing/tcp-relay.ts';
import { send, sendError, TokenRegistry } from '../../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
/** More than what is on its way between two sockets. */
const LARGE = randomBytes(48_000_000);

/** Reads a body, and does something once, after its first bytes. */
async function readDuring(
  content: Content | undefined,
  something: () => Promise<void>,
): Promise<Buffer> {
  assert.equal(content?.kind, 'stream');
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.body) {
    if (chunks.length === 0) await something();
    chunks.push(chunk);
  }
  await content.held?.[Symbol.asyncDispose]();
  return Buffer.concat(chunks);
}

describe('a registry that is lost', () => {
  it('between manifest and blobs is named as the reason, and gives the blobs when it is back', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
    const blob = registry.addBlob(Buffer.from('layer'));
    const { digest } = registry.addImage('a', '1', [blob]);
    const relay = await TcpRelay.start(t, registry);
    const { source } = await upstreamTo(t, [byHttp(relay)]);
    const name = byHttp(relay).registry;
    await bytesOf(await source.fetch(requestFor(name, 'a', { manifest: digest }), signal));
    await relay.close();
    const fetchBlob = (): Promise<Content | undefined> =>
      source.fetch(requestFor(name, 'a', { blob }), signal);
    await assert.rejects(fetchBlob(), {
      code: 'UNAVAILABLE',
      message: /no connection \(ECONNREFUSED\)/,
    });
    await relay.open();
    await eventually(async () => {
      assert.equal(String(await bytesOf(await fetchBlob())), 'layer');
    });
  });

  it('in the middle of a blob, and is back, goes on at the byte', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
    const blob = registry.addBlob(LARGE);
    const relay = await TcpRelay.start(t, registry);
    const { source } = await upstreamTo(t, [byHttp(relay)]);
    const content = await source.fetch(requestFor(byHttp(relay).registry, 'a', { blob }), signal);
    const bytes = await readDuring(content, async () => {
      await relay.close();
      await relay.open();
    });
    assert.ok(bytes.equals(LARGE));
    assert.match(registry.seen[1]?.range ?? '', /^bytes=[1-9]\d*-47999999$/);
  });
});

describe('a proxy that dies', () => {
  it('in the middle of a blob costs nothing when it is back, and is the reason while it is away', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
    const blob = registry.addBlob(LARGE);
    const relay = await TcpRelay.start(t, await startProxy(t, registry.origin));
    const name = 'registry.test:5000';
    const { source } = await upstreamTo(t, [{ registry: name, server: `http://${name}` }], {
      environment: { HTTP_PROXY: relay.origin },
    });
    const request = requestFor(name, 'a', { blob });
    const bytes = await readDuring(await source.fetch(request, signal), async () => {
      await relay.close();
      await relay.open();
    });
    assert.ok(bytes.equals(LARGE));
    await relay.close();
    const { source: other } = await upstreamTo(t, [{ registry: name, server: `http://${name}` }], {
      environment: { HTTP_PROXY: relay.origin },
    });
    await assert.rejects(other.fetch(request, signal), {
      code: 'UNAVAILABLE',
      message: /no connection through the proxy 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/,
    });
  });
});

describe('a name that is not found', () => {
  it('of storage or of the token server is the reason', async (t) => {
    const registry = await TokenRegistry.start(t);
    const blob = registry.addBlob(Buffer.from('layer'));
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const request = requestFor(registry.name, 'a', { blob });
    registry.tokenOrigin = 'http://token.invalid';
    const notFound = /no connection \((?:ENOTFOUND|EAI_AGAIN)\)/;
    await assert.rejects(source.fetch(request, signal), { code: 'UNAVAILABLE', message: notFound });
    const open = await TokenRegistry.start(t, { scheme: 'none' });
    open.addBlob(Buffer.from('layer'));
    open.storageOrigin = 'http://storage.invalid';
    const { source: other } = await upstreamTo(t, [byHttp(open)]);
    await assert.rejects(other.fetch(requestFor(open.name, 'a', { blob }), signal), {
      code: 'UNAVAILABLE',
      message: notFound,
    });
  });
});

describe('credentials that are revoked in the middle of an image', () => {
  it('are the reason for what was not fetched by then, also by Basic', async (t) => {
    const user = { username: 'team', password: 'secret' };
    for (const scheme of ['token', 'basic'] as const) {
      const registry = await TokenRegistry.start(t, { user, scheme });
      const blobs = [1, 2].map((seed) => registry.addBlob(Buffer.alloc(100, seed)));
      const yaml = `configs: { "${registry.name}": { auth: { username: team, password: secret } } }`;
      const { source } = await upstreamTo(t, [byHttp(registry)], { yaml });
      const [first, second] = blobs.map((blob) => requestFor(registry.name, 'a', { blob }));
      assert.ok(first !== undefined && second !== undefined);
      await bytesOf(await source.fetch(first, signal));
      registry.revokeTokens();
      const refuse = registry.faults;
      if (scheme === 'token') {
        refuse.token = (_req, res) => {
          sendError(res, 401, 'UNAUTHORIZED', 'account suspended');
          return true;
        };
      } else {
        refuse.registry = (_req, res) => {
          res.setHeader('WWW-Authenticate', 'Basic realm="test"');
          sendError(res, 401, 'UNAUTHORIZED', 'account suspended');
          return true;
        };
      }
      const before = registry.seen.length;
      await assert.rejects(source.fetch(second, signal), {
        code: 'DENIED',
        message: scheme === 'token' ? /account suspended/ : /wants other credentials/,
      });
      assert.ok(registry.seen.length <= before + 2, 'no loop');
    }
  });

  it('by a token that expires in the middle of a blob, go on with a new one', async (t) => {
    const registry = await TokenRegistry.start(t, { redirects: false });
    const blob = registry.addBlob(LARGE);
    const relay = await TcpRelay.start(t, registry);
    const { source } = await upstreamTo(t, [byHttp(relay)]);
    const content = await source.fetch(requestFor(byHttp(relay).registry, 'a', { blob }), signal);
    const bytes = await readDuring(content, async () => {
      registry.revokeTokens();
      await relay.close();
      await relay.open();
    });
    assert.ok(bytes.equals(LARGE));
    assert.equal(registry.requests('token').length, 2);
  });
});

describe('500 different images at once', () => {
  it('come by a bounded number of connections, and each by itself succeeds or has its reason', async (t) => {
    const registry = await TokenRegistry.start(t);
    const most = { token: 0, registry: 0, storage: 0 };
    for (const at of ['token', 'registry', 'storage'] as const) {
      const open = new Set<Socket>();
      registry.faults[at] = (req, res) => {
        const { socket } = req;
        if (!open.has(socket)) socket.once('close', () => open.delete(socket));
        most[at] = Math.max(most[at], open.add(socket).size);
        const [, kind = ''] = /\/v2\/(\w+)-\d+\/blobs\//.exec(req.url ?? '') ?? [];
        if (kind === 'gone') sendError(res, 404, 'BLOB_UNKNOWN', 'blob unknown');
        else if (kind === 'denied') sendError(res, 403, 'DENIED', 'not yours');
        else if (kind === 'page') send(res, 200, 'text/html', Buffer.from('<html>'));
        else return false;
        return true;
      };
    }
    const expected = {
      right: undefined,
      gone: /BLOB_UNKNOWN: blob unknown/,
      denied: /DENIED: not yours/,
      page: /HTML page/,
    };
    const kinds = Object.keys(expected) as (keyof typeof expected)[];
    const images = Array.from({ length: 500 }, (_, index) => {
      const layer = randomBytes(2_000);
      const kind = kinds[index % 10] ?? 'right';
      const repository = `${kind}-${index}`;
      const blob = registry.addBlob(layer);
      return { kind, repository, layer, blob, ...registry.addImage(repository, '1', [blob]) };
    });
    const { source } = await upstreamTo(t, [byHttp(registry)], { timeout: 60_000 });
    const pulls = images.map(async ({ kind, repository, layer, blob, digest, bytes }) => {
      const ask = async (
        what: { blob: typeof blob } | { manifest: typeof blob },
      ): Promise<Buffer> =>
        bytesOf(await source.fetch(requestFor(registry.name, repository, what), signal));
      assert.deepEqual(await ask({ manifest: digest }), bytes);
      const reason = expected[kind];
      if (reason === undefined) assert.deepEqual(await ask({ blob }), layer);
      else await assert.rejects(ask({ blob }), { message: reason });
    });
    await Promise.all(pulls);
    // 64, and some of which the server has not seen the end yet.
    for (const [at, count] of Object.entries(most)) {
      assert.ok(count > 0 && count < 128, `${count} connections with ${at}`);
    }
  });
});
