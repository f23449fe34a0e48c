import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import type { Provider } from '../../routing/router.ts';
import { refusing, STALE, startCrowd } from '../../testing/crowd.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
  type MirrorNodeInit,
} from '../../testing/mirror-node.ts';
import { startRogue } from '../../testing/rogue-peer.ts';

const LARGE = 6_000_000;
/** Peers that hang. */
const HANGING = 200;
/** A time-out in milliseconds that is longer than a test may take, so that it is never what helps. */
const NEVER = 600_000;
/** A bound for a test that hangs, not a measurement. */
const PATIENCE = { timeout: 300_000 };

const image = makeImage(1000, LARGE);
const [, large] = image.layers as [Digest, Digest];
const largeBytes = image.blobs.get(large) ?? Buffer.alloc(0);

describe('a request reaches the holder past stale records:', PATIENCE, () => {
  let holder: MirrorNode;

  before(async () => {
    holder = await startMirror();
    putImage(holder.store, image, 'registry.example/team/app:1.0');
  });
  after(() => holder[Symbol.asyncDispose]());

  /** Sends a new node that knows these providers every kind of request that a client may send. */
  async function assertServed(
    providers: readonly Provider[],
    init: MirrorNodeInit = {},
  ): Promise<void> {
    for (const [path, range, expected] of [
      ['manifests/1.0', undefined, image.blobs.get(image.manifest.digest)],
      [`manifests/${image.manifest.digest}`, undefined, image.blobs.get(image.manifest.digest)],
      [`blobs/${image.config}`, undefined, image.blobs.get(image.config)],
      [`blobs/${large}`, undefined, largeBytes],
      [`blobs/${large}`, 'bytes=5000-4999999', largeBytes.subarray(5000, 5_000_000)],
      [`blobs/${large}`, 'HEAD', undefined],
    ] as const) {
      const router = new FixedRouter(...providers);
      // No bound on time: a busy machine must not fail the test.
      await using node = await startMirror({ router, firstByteBudget: NEVER, ...init });
      const url = `${node.origin}/v2/team/app/${path}?ns=registry.example`;
      const method = range === 'HEAD' ? 'HEAD' : 'GET';
      const headers: Record<string, string> = method === 'GET' && range ? { range } : {};
      const response = await fetch(url, { method, headers });
      assert.equal(response.status, 'range' in headers ? 206 : 200, `${method} ${path}`);
      const body = Buffer.from(await response.arrayBuffer());
      if (expected === undefined) {
        assert.equal(response.headers.get('content-length'), String(LARGE));
      } else {
        assert.ok(body.equals(expected), `${method} ${path}: ${body.length} bytes`);
      }
      assert.equal(response.headers.get('x-peerglass-source'), holder.origin);
    }
  }

  it('150 peers that answer 404, with the holder last', async () => {
    await using stale = await startCrowd(150, STALE.notFound);
    await assertServed([...stale.providers, providerOf('holder', holder)]);
  });

  it('20 peers that answer 404, with the holder at any position', async () => {
    await using stale = await startCrowd(20, STALE.notFound);
    for (const place of [0, 1, 2, 3, 7, 19]) {
      const providers = stale.providers.toSpliced(place, 0, providerOf('holder', holder));
      await assertServed(providers);
    }
  });

  it('40 peers that refuse the connection', async () => {
    await assertServed([...(await refusing(40)), providerOf('holder', holder)]);
  });

  it('5 peers that hang, without waiting for their time-outs', async () => {
    await using hanging = await startCrowd(5, STALE.hangs);
    await assertServed([...hanging.providers, providerOf('holder', holder)], {
      headTimeout: NEVER,
    });
  });

  it('stale peers of all kinds in turn', async () => {
    await using stale = await startCrowd(60, STALE.notFound);
    await using hanging = await startCrowd(20, STALE.hangs, 'hanging');
    await using broken = await startCrowd(20, (socket) => socket.destroy(), 'broken');
    const gone = await refusing(20);
    const providers = stale.providers.flatMap((provider, index) => [
      provider,
      ...[hanging.providers[index], broken.providers[index], gone[index]].filter((it) => it),
    ]) as Provider[];
    await assertServed([...providers, providerOf('holder', holder)], {
      headTimeout: NEVER,
    });
  });

  it('a record of the holder that arrives after all others were stale', async () => {
    await using stale = await startCrowd(3, STALE.notFound);
    const router = {
      forgotten: [] as string[],
      async *lookup(): AsyncGenerator<Provider> {
        yield* stale.providers;
        await eventually(() => {
          assert.equal(router.forgotten.length, 3);
        });
        yield providerOf('holder', holder);
      },
      forget(_key: string, peerId: string): void {
        router.forgotten.push(peerId);
      },
    };
    await using node = await startMirror({ router, resolveTimeout: NEVER, firstByteBudget: NEVER });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${large}`);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(largeBytes));
  });

  it('and each 404 is reported to content routing once', async (t) => {
    await using stale = await startCrowd(100, STALE.notFound);
    const router = new FixedRouter(...stale.providers, providerOf('holder', holder));
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    // Time stands still, so that no peer is late.
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${large}`, { method: 'HEAD' });
    assert.equal(response.status, 200);
    // The last of them are cancelled if the holder answers before them.
    const forgotten = new Set(router.forgotten);
    assert.equal(forgotten.size, router.forgotten.length);
    assert.ok(forgotten.size > 60, `${forgotten.size}`);
    assert.ok(!forgotten.has('holder'));
  });
});

describe('a request for which all records are stale', PATIENCE, () => {
  it('is answered with 404 after each peer was asked once, and every record is forgotten', async () => {
    await using stale = await startCrowd(150, STALE.notFound);
    const router = new FixedRouter(...stale.providers);
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${large}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
    assert.equal(stale.requests.length, 150);
    assert.deepEqual(
      router.forgotten.toSorted(),
      stale.providers.map((it) => it.peerId).toSorted(),
    );
    const metrics = await node.metrics.registry.metrics();
    assert.match(metrics, /peerglass_fall_throughs_total\{reason="providers-failed"\} 1/);
  });

  it('is answered with 404 within the first-byte budget when no peer answers at all', async () => {
    await using hanging = await startCrowd(10, STALE.hangs);
    const router = new FixedRouter(...hanging.providers);
    await using node = await startMirror({ router, headTimeout: NEVER, firstByteBudget: 500 });
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${large}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
    await eventually(() => {
      assert.equal(hanging.open, 0);
    });
  });
});

describe('a client that closes its connection', PATIENCE, () => {
  it('ends every attempt, and no new attempt begins', async () => {
    // More than are asked before a busy machine hears that the client has left.
    await using hanging = await startCrowd(HANGING, STALE.hangs);
    const router = new FixedRouter(...hanging.providers);
    await using node = await startMirror({ router, headTimeout: NEVER, firstByteBudget: NEVER });
    const client = new AbortController();
    const { signal } = client;
    const request = fetch(`${node.origin}/v2/team/app/blobs/${large}`, { signal });
    await eventually(() => {
      assert.ok(hanging.requests.length >= 7);
    });
    client.abort();
    await assert.rejects(request);
    await eventually(() => {
      assert.equal(hanging.open, 0);
    });
    assert.ok(hanging.requests.length < HANGING);
  });

  it('ends the body, and the connection to the peer is closed', async () => {
    await using endless = await startRogue((socket) => {
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-length: ${LARGE}\r\ndocker-content-digest: ${large}\r\n\r\n`,
      );
      socket.write(largeBytes.subarray(0, 1_000_000));
    });
    const router = new FixedRouter(providerOf('endless', endless));
    await using node = await startMirror({ router, stallTimeout: NEVER });
    const client = new AbortController();
    const { signal } = client;
    const response = await fetch(`${node.origin}/v2/team/app/blobs/${large}`, { signal });
    assert.equal(response.status, 200);
    client.abort();
    await eventually(() => {
      assert.equal(endless.open, 0);
    });
  });
});
