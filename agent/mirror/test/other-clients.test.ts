import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Content } from '../../content/content-source.ts';
import { createMetrics } from '../../metrics/metrics.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { makeImage, putImage, sha256 } from '../../testing/image.ts';
import { listen } from '../../testing/listen.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { TokenRegistry } from '../../testing/token-registry.ts';
import { byHttp, upstreamTo } from '../../testing/upstream-fixture.ts';
import { MirrorHandler } from '../mirror-handler.ts';

const TEXT = Buffer.from('content');
const DIGEST = sha256(TEXT);
const PEER = { 'x-spegel-mirrored': 'true' };

function broken(): Content {
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest: DIGEST, size: TEXT.length };
  async function* body(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(TEXT.subarray(0, 3));
    throw new Error('the peer died');
  }
  return { kind: 'stream', descriptor, origin: 'http://peer', body: body() };
}

function whole(): Content {
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest: DIGEST, size: TEXT.length };
  return { kind: 'whole', descriptor, origin: 'finished', bytes: TEXT };
}

/** A mirror whose peer breaks off, and whose registry finishes that. */
async function start(
  t: TestContext,
  { mayGoUpstream = true, unnamedRegistry = '' } = {},
): Promise<{ origin: string; asked: ContentRequest[]; finished: ContentRequest[] }> {
  const asked: ContentRequest[] = [];
  const finished: ContentRequest[] = [];
  const give = (content: Content) => (request: ContentRequest) => {
    asked.push(request);
    return Promise.resolve(content);
  };
  const mirror = new MirrorHandler({
    sources: {
      local: [],
      remote: [{ fetch: give(broken()) }],
      upstream: {
        fetch: () => Promise.resolve(undefined),
        finish(_content, request) {
          finished.push(request);
          return Promise.resolve(whole());
        },
      },
    },
    policy: new SharePolicy(),
    mayGoUpstream: () => mayGoUpstream,
    ...(unnamedRegistry !== '' && { unnamedRegistry }),
    metrics: createMetrics(),
    logger: quiet,
  });
  const origin = await listen(t, async (req, res, signal) => {
    await mirror.handle(req, res, signal);
  });
  return { origin, asked, finished };
}

describe('a blob that a peer does not finish', () => {
  it('is finished for a client of the node, and for no other one and no peer', async (t) => {
    const own = await start(t);
    const path = `/v2/team/app/blobs/${DIGEST}?ns=registry.example`;
    const response = await fetch(`${own.origin}${path}`);
    assert.equal(await response.text(), 'content');
    assert.equal(own.finished.length, 1);
    assert.equal((await fetch(`${own.origin}${path}`, { headers: PEER })).status, 404);
    const others = await start(t, { mayGoUpstream: false });
    await assert.rejects(fetch(`${others.origin}${path}`).then((it) => it.text()));
    assert.deepEqual([own.finished.length, others.finished.length], [1, 0]);
  });

  it('comes from the registry as a whole, where the node that gave the manifest is gone', async (t) => {
    const registry = await TokenRegistry.start(t);
    const image = makeImage(50_000);
    const [layer] = image.layers;
    assert.ok(layer !== undefined);
    for (const bytes of image.blobs.values()) registry.addBlob(bytes);
    const holder = await startMirror();
    t.after(() => holder[Symbol.asyncDispose]());
    putImage(holder.store, image, `${registry.name}/team/app:1.0`);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const router = new FixedRouter(providerOf('holder', holder));
    await using node = await startMirror({ router, upstream: source });
    const get = (path: string): Promise<Response> =>
      fetch(`${node.origin}/v2/team/app/${path}?ns=${registry.name}`);
    // By digest: the registry of the test is on the node itself, whose tags are not shared.
    const manifest = await get(`manifests/${image.manifest.digest}`);
    await manifest.arrayBuffer();
    assert.equal(manifest.headers.get('docker-content-digest'), image.manifest.digest);
    assert.deepEqual(registry.seen, []);
    await holder[Symbol.asyncDispose]();
    const blob = await get(`blobs/${layer}`);
    assert.deepEqual(Buffer.from(await blob.arrayBuffer()), image.blobs.get(layer));
    assert.equal(blob.headers.get('x-peerglass-source'), registry.origin);
  });
});

describe('a request that names no registry', () => {
  it('is one for the registry of the options, when a client asks', async (t) => {
    const { origin, asked } = await start(t, { unnamedRegistry: 'docker.io' });
    const response = await fetch(`${origin}/v2/library/nginx/blobs/${DIGEST}`);
    assert.equal(await response.text(), 'content');
    assert.equal(asked[0]?.registry, 'docker.io');
    assert.equal(asked[0].repository, 'library/nginx');
  });

  it('is none for it when a peer asks: rules for the registry could leave out what it wants', async (t) => {
    const { origin } = await start(t, { unnamedRegistry: 'docker.io' });
    const tag = `${origin}/v2/library/nginx/manifests/1.27`;
    assert.equal((await fetch(tag, { headers: PEER })).status, 400);
    const { origin: without } = await start(t);
    assert.equal((await fetch(`${without}/v2/library/nginx/manifests/1.27`)).status, 400);
  });
});
