import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../oci/digest.ts';
import { makeImage, putImage, type TestImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { connectTo } from '../testing/raw-http.ts';
import { responseHead, startRogue, type RoguePeer } from '../testing/rogue-peer.ts';

const NAME = 'registry.example/team/app:1.0';
const LARGE = 8_000_000;

/** Pulls one blob through a node whose directory names the rogue first and an honest holder second. */
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

describe('a peer that fails before its body is passed over:', () => {
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
    'says another digest': (socket) =>
      socket.write(
        responseHead(200, {
          'content-length': LARGE,
          'docker-content-digest': `sha256:${'0'.repeat(64)}`,
        }),
      ),
    'does not say a length': (socket) => socket.write(responseHead(200, {})),
    'compresses unasked': (socket) =>
      socket.write(responseHead(200, { 'content-length': 10, 'content-encoding': 'gzip' })),
    'refuses a range that nobody asked for': (socket) =>
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

describe('a body that breaks goes on from another peer at the right byte:', () => {
  const cut = 3_000_000;
  const faults: Record<string, Parameters<typeof startRogue>[0]> = {
    'closed in the middle': (socket) => socket.end(largeBytes.subarray(0, cut)),
    'reset in the middle': (socket) =>
      socket.write(largeBytes.subarray(0, cut), () => socket.resetAndDestroy()),
    'stalled in the middle': (socket) => socket.write(largeBytes.subarray(0, cut)),
    'closed before the last byte': (socket) => socket.end(largeBytes.subarray(0, LARGE - 1)),
  };
  for (const [fault, behave] of Object.entries(faults)) {
    it(fault, async () => {
      await using rogue = await startRogue((socket, request) => {
        socket.write(fullHead);
        behave(socket, request);
      });
      const { status, body, node } = await pullPast(rogue, image, large);
      assert.equal(status, 200);
      assert.ok(body.equals(largeBytes));
      const metrics = await node.metrics.registry.metrics();
      assert.match(metrics, /peerglass_resumes_total\{result="resumed"\} 1/);
    });
  }

  it('of a range, too', async () => {
    await using rogue = await startRogue((socket) => {
      const range = `bytes 1000-${LARGE - 1}/${LARGE}`;
      socket.write(responseHead(206, { 'content-length': LARGE - 1000, 'content-range': range }));
      socket.end(largeBytes.subarray(1000, cut));
    });
    const { status, body } = await pullPast(rogue, image, large, { range: 'bytes=1000-' });
    assert.equal(status, 206);
    assert.ok(body.equals(largeBytes.subarray(1000)));
  });

  it('ends short of the declared length by FIN when nobody is left', async () => {
    await using rogue = await startRogue((socket) => {
      socket.write(fullHead);
      socket.end(largeBytes.subarray(0, cut));
    });
    const router = new FixedRouter(providerOf('rogue', rogue));
    await using node = await startMirror({ router });
    const socket = await connectTo(node.origin);
    socket.write(`GET /v2/team/app/blobs/${large} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const chunks: Buffer[] = [];
    // A reset would make the loop throw.
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const received = Buffer.concat(chunks);
    const body = received.subarray(received.indexOf('\r\n\r\n') + 4);
    assert.equal(body.length, cut);
    assert.ok(body.equals(largeBytes.subarray(0, cut)));
  });
});

describe('wrong bytes', () => {
  it('of a small blob never reach the client, and the peer is forgotten for it', async () => {
    await using rogue = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 1000, 'docker-content-digest': small }));
      socket.write(Buffer.alloc(1000));
    });
    const { status, body, forgotten } = await pullPast(rogue, image, small);
    assert.equal(status, 200);
    assert.deepEqual(body, image.blobs.get(small));
    assert.deepEqual(forgotten, ['rogue']);
  });

  it('of a manifest by tag are found by the digest that the peer itself claims', async () => {
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

describe('a length that the manifest does not say', () => {
  for (const by of [-1000, 1000]) {
    it(`has the peer passed over, ${by} bytes`, async () => {
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

describe('when no peer delivers', () => {
  it('answers 404 although every provider fails, and counts why', async () => {
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

  it('answers 404 within its bound while the directory stays silent', async () => {
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
