import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { startMirror } from '../../testing/mirror-node.ts';
import { TokenRegistry } from '../../testing/token-registry.ts';
import {
  byHttp,
  requestFor,
  upstreamTo,
  type UpstreamFixtureInit,
} from '../../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const LAYER = randomBytes(400_000);

/** A registry whose blobs come in chunks, and a mirror in front of it. */
async function start(
  t: TestContext,
  answer: (res: ServerResponse) => void,
  init: Pick<UpstreamFixtureInit, 'isVerifiedByClient' | 'dataPlane'> = {},
): Promise<{
  get: (init?: RequestInit) => Promise<Response>;
  registry: TokenRegistry;
  blob: Digest;
  source: Awaited<ReturnType<typeof upstreamTo>>['source'];
}> {
  const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
  const blob = registry.addBlob(LAYER);
  registry.faults.registry = (_req, res) => {
    answer(res);
    return true;
  };
  const { source } = await upstreamTo(t, [byHttp(registry)], init);
  const mirror = await startMirror({ upstream: source });
  t.after(() => mirror[Symbol.asyncDispose]());
  const url = `${mirror.origin}/v2/a/blobs/${blob}?ns=${registry.name}`;
  return { registry, blob, source, get: (init) => fetch(url, init) };
}

const chunked =
  (send: (res: ServerResponse) => void) =>
  (res: ServerResponse): void => {
    res.writeHead(200, { 'Transfer-Encoding': 'chunked' });
    send(res);
  };

const whole = (res: ServerResponse): void => {
  res.write(LAYER.subarray(0, 1000));
  res.end(LAYER.subarray(1000));
};

describe('a blob of unknown length', () => {
  it('is sent on in chunks, whole whatever range was asked for', async (t) => {
    const { get } = await start(t, chunked(whole));
    for (const headers of [{}, { range: 'bytes=0-' }, { range: 'bytes=5-9' }]) {
      const response = await get({ headers });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-length'), null);
      assert.equal(response.headers.get('accept-ranges'), 'none');
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), LAYER);
    }
  });

  for (const dataPlane of ['auto', 'stream'] as const) {
    it(`is asked for once (${dataPlane}), in chunks or to the end of its connection`, async (t) => {
      const plain = (res: ServerResponse): void => {
        res.socket?.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), LAYER]));
      };
      for (const answer of [chunked(whole), plain]) {
        const { get, registry } = await start(t, answer, { dataPlane });
        const response = await get();
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), LAYER);
        assert.equal(registry.requests('registry').length, 1);
      }
    });
  }

  it('is refused in the words of the registry, which come in chunks too', async (t) => {
    const { get, registry } = await start(t, (res) => {
      res.writeHead(403, { 'Transfer-Encoding': 'chunked' });
      res.write('{"errors":[{"code":"DENIED",');
      res.end('"message":"not yours"}]}');
    });
    const response = await get();
    assert.equal(response.status, 403);
    assert.match(await response.text(), /DENIED: not yours/);
    assert.equal(registry.requests('registry').length, 1);
  });

  it('does not end for the client where it breaks off, or has other bytes', async (t) => {
    const wrong = Buffer.from(LAYER);
    wrong.writeUInt8((wrong.readUInt8(7) + 1) % 256, 7);
    for (const send of [
      (res: ServerResponse) => res.write(LAYER.subarray(0, 100_000), () => res.destroy()),
      (res: ServerResponse) => res.end(LAYER.subarray(0, -1)),
      (res: ServerResponse) => res.end(wrong),
      (res: ServerResponse) => res.end(Buffer.concat([LAYER, Buffer.from('more')])),
      (res: ServerResponse) => res.end(),
    ]) {
      const { get } = await start(t, chunked(send));
      await assert.rejects(async () => {
        const response = await get();
        await response.arrayBuffer();
      });
    }
  });

  it('is left to containerd, which goes to its next host', async (t) => {
    const { source, registry, blob, get } = await start(t, chunked(whole), {
      isVerifiedByClient: true,
    });
    await assert.rejects(source.fetch(requestFor(registry.name, 'a', { blob }), signal), {
      code: 'BLOB_UNKNOWN',
      status: 404,
      message: /a body of unknown length/,
    });
    assert.equal((await get()).status, 404);
  });

  it('has no size for a HEAD', async (t) => {
    const { get } = await start(t, chunked(whole));
    assert.equal((await get({ method: 'HEAD' })).status, 404);
  });
});
