import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../oci/digest.ts';
import { makeImage, putImage, type TestImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../testing/rogue-peer.ts';

const NAME = 'registry.example/team/app:1.0';
const LARGE = 8_000_000;

/** Pulls one blob through a node whose content routing names the rogue first and an honest holder second. */
async function pullPast(
  rogue: RoguePeer,
  image: TestImage,
  digest: Digest,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Buffer; node: MirrorNode; forgotten: string[] }> {
  await using honest = await startMirror();
  putImage(honest.store, image, NAME);
  const router = new FixedRouter(providerOf('rogue', rogue), providerOf('honest', honest));
  await using node = await startMirror({ router, headTimeout: 300, stallTimeout: 300 });
  const url = `${node.origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
  const response = await fetch(url, { headers });
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, body, node, forgotten: router.forgotten };
}

const image = makeImage(1000, LARGE);
const [small, large] = image.layers as [Digest, Digest];
const largeBytes = image.blobs.get(large) ?? Buffer.alloc(0);
const fullHead = responseHead(200, {
  'content-length': LARGE,
  'docker-content-digest': large,
});

describe('PeerTransfer asks another peer when one', () => {
  const faults: Record<string, Parameters<typeof startRogue>[0]> = {
    'closes without an answer': (socket) => socket.destroy(),
    'resets the connection': (socket) => socket.resetAndDestroy(),
    'never answers': () => undefined,
    'sends headers without end': (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      socket.write('x-filler: '.padEnd(64 * 1024, 'a'));
    },
    'does not speak HTTP': (socket) => socket.end('SSH-2.0-OpenSSH_9\r\n'),
    'answers 404': (socket) => socket.write(responseHead(404, { 'content-length': 0 })),
    'answers 500': (socket) => socket.write(responseHead(500, { 'content-length': 0 })),
    'answers 429': (socket) => socket.write(responseHead(429, { 'content-length': 0 })),
    'redirects elsewhere': (socket) =>
      socket.write(responseHead(307, { location: 'http://127.0.0.1:1/v2/', 'content-length': 0 })),
    'challenges with a foreign realm': (socket) =>
      socket.write(
        responseHead(401, {
          'www-authenticate': 'Bearer realm="http://127.0.0.1:1/token"',
          'content-length': 0,
        }),
      ),
    'states another digest': (socket) =>
      socket.write(
        responseHead(200, {
          'content-length': LARGE,
          'docker-content-digest': `sha256:${'0'.repeat(64)}`,
        }),
      ),
    'does not state a length': (socket) => socket.write(responseHead(200, {})),
    'compresses the body without being asked': (socket) =>
      socket.write(responseHead(200, { 'content-length': 10, 'content-encoding': 'gzip' })),
    'refuses a range that was not requested': (socket) =>
      socket.write(responseHead(416, { 'content-length': 0 })),
    'sends a head and closes': (socket) => socket.end(fullHead),
    'sends a head and then nothing': (socket) => socket.write(fullHead),
    'answers another range': (socket) =>
      socket.write(
        responseHead(206, {
          'content-length': LARGE - 1,
          'content-range': `bytes 1-${LARGE - 1}/${LARGE}`,
        }),
      ),
  };
  for (const [fault, behave] of Object.entries(faults)) {
    it(fault, async () => {
      await using rogue = await startRogue(behave);
      const { status, body } = await pullPast(rogue, image, large);
      assert.equal(status, 200);
      assert.ok(body.equals(largeBytes));
      assert.ok(rogue.requests.length >= 1);
      assert.match(rogue.requests[0] ?? '', /x-spegel-mirrored: true/i);
    });
  }
});

describe('PeerTransfer', () => {
  it('never gives wrong bytes of a small blob to the client, and forgets the record of the peer', async () => {
    await using rogue = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 1000, 'docker-content-digest': small }));
      socket.write(Buffer.alloc(1000));
    });
    const { status, body, forgotten } = await pullPast(rogue, image, small);
    assert.equal(status, 200);
    assert.deepEqual(body, image.blobs.get(small));
    assert.deepEqual(forgotten, ['rogue']);
  });

  it('finds wrong bytes of a manifest by tag from the digest that the peer itself states', async () => {
    await using honest = await startMirror();
    putImage(honest.store, image, NAME);
    await using rogue = await startRogue((socket) => {
      const { digest, mediaType, size } = image.manifest;
      const headers = {
        'content-length': size,
        'content-type': mediaType,
        'docker-content-digest': digest,
      };
      socket.write(responseHead(200, headers));
      socket.write(Buffer.alloc(size, ' '));
    });
    const router = new FixedRouter(providerOf('rogue', rogue), providerOf('honest', honest));
    await using node = await startMirror({ router });
    const url = `${node.origin}/v2/team/app/manifests/1.0?ns=registry.example`;
    const response = await fetch(url);
    assert.deepEqual(
      Buffer.from(await response.arrayBuffer()),
      image.blobs.get(image.manifest.digest),
    );
    assert.deepEqual(router.forgotten, ['rogue']);
  });
});

describe('PeerTransfer, when the manifest states another length,', () => {
  for (const by of [-1000, 1000]) {
    it(`asks another peer than the one whose length is ${by} bytes off`, async () => {
      await using rogue = await startRogue((socket, request) => {
        if (!request.includes(large)) {
          socket.write(responseHead(404, { 'content-length': 0 }));
          return;
        }
        socket.write(responseHead(200, { 'content-length': LARGE + by }));
        socket.write(largeBytes.subarray(0, LARGE + by));
      });
      await using honest = await startMirror();
      putImage(honest.store, image, NAME);
      const router = new FixedRouter(providerOf('rogue', rogue), providerOf('honest', honest));
      await using node = await startMirror({ router });
      const url = `${node.origin}/v2/team/app`;
      const manifest = await fetch(`${url}/manifests/${image.manifest.digest}`);
      assert.equal(manifest.status, 200);
      await manifest.arrayBuffer();
      const response = await fetch(`${url}/blobs/${large}`);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(largeBytes));
      assert.ok(rogue.requests.some((it) => it.includes(large)));
    });
  }
});

describe('PeerTransfer, when no peer delivers,', () => {
  it('has the mirror answer 404 when every provider fails, and counts the reason', async () => {
    await using rogue = await startRogue((socket) => socket.destroy());
    const router = new FixedRouter(providerOf('rogue', rogue));
    await using node = await startMirror({ router });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${small}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
    const metrics = await node.metrics.registry.metrics();
    assert.match(metrics, /peerglass_fall_throughs_total\{reason="providers-failed"\} 1/);
    assert.match(
      metrics,
      /spegel_mirror_requests_total\{registry="",cache="miss",source="internal"\} 1/,
    );
  });

  it('has the mirror answer 404 in bounded time when content routing is silent', async () => {
    const router = {
      async *lookup(_key: string, signal?: AbortSignal): AsyncGenerator<never> {
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        yield* [];
      },
      forget: () => undefined,
    };
    await using node = await startMirror({ router, resolveTimeout: 5, resolveRetries: 2 });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${small}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
    const metrics = await node.metrics.registry.metrics();
    assert.match(metrics, /peerglass_fall_throughs_total\{reason="lookup-timeout"\} 1/);
  });
});
