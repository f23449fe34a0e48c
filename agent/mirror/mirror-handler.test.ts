import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, mock } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { Digest } from '../oci/digest.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { parseShareRule } from '../oci/share-rule.ts';
import type { OpenBlob } from '../store/content-store.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../testing/mirror-node.ts';
import { OutageAnswers } from './outage-answers.ts';

const NAME = 'registry.example/team/app:1.0';
const query = '?ns=registry.example';

describe('MirrorHandler, for content that its node holds', () => {
  it('answers a tag and a digest with the headers that containerd needs', async () => {
    await using node = await startMirror();
    const image = makeImage(1000);
    putImage(node.store, image, NAME);
    for (const reference of ['1.0', image.manifest.digest]) {
      for (const method of ['HEAD', 'GET']) {
        const url = `${node.origin}/v2/team/app/manifests/${reference}${query}`;
        const response = await fetch(url, { method, headers: { 'accept-encoding': 'gzip' } });
        assert.equal(response.status, 200);
        assert.equal(response.headers.get('docker-content-digest'), image.manifest.digest);
        assert.equal(response.headers.get('content-type'), image.manifest.mediaType);
        assert.equal(response.headers.get('content-length'), String(image.manifest.size));
        assert.equal(response.headers.get('accept-ranges'), 'bytes');
        assert.equal(response.headers.get('oci-namespace'), 'registry.example');
        assert.equal(response.headers.get('content-encoding'), null);
        const body = Buffer.from(await response.arrayBuffer());
        const expected = image.blobs.get(image.manifest.digest);
        assert.deepEqual(body, method === 'GET' ? expected : Buffer.alloc(0));
      }
    }
  });

  it('answers the three forms of a range, of blobs and of manifests', async () => {
    await using node = await startMirror();
    const image = makeImage(100_000);
    putImage(node.store, image, NAME);
    const [layer] = image.layers;
    assert.ok(layer !== undefined);
    for (const [kind, digest] of [
      ['blobs', layer],
      ['manifests', image.manifest.digest],
    ] as const) {
      const url = `${node.origin}/v2/team/app/${kind}/${digest}${query}`;
      const content = image.blobs.get(digest) ?? Buffer.alloc(0);
      for (const [range, part] of [
        ['bytes=0-', content],
        ['bytes=5-', content.subarray(5)],
        ['bytes=5-9', content.subarray(5, 10)],
        ['bytes=-7', content.subarray(-7)],
        [`bytes=5-${content.length + 100}`, content.subarray(5)],
      ] as const) {
        const response = await fetch(url, { headers: { range } });
        assert.equal(response.status, 206, range);
        assert.equal(response.headers.get('content-length'), String(part.length));
        assert.match(
          response.headers.get('content-range') ?? '',
          new RegExp(`/${content.length}$`),
        );
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from(part), range);
      }
      const beyond = await fetch(url, { headers: { range: `bytes=${content.length}-` } });
      assert.equal(beyond.status, 416);
      assert.equal(beyond.headers.get('content-range'), `bytes */${content.length}`);
      await beyond.body?.cancel();
      const several = await fetch(url, { headers: { range: 'bytes=0-1,3-4' } });
      assert.equal(several.status, 200);
      await several.body?.cancel();
    }
  });

  it('answers bytes=0- of an empty blob with 200, since containerd asks so of everything', async () => {
    await using node = await startMirror();
    const digest = node.store.putBlob(Buffer.alloc(0));
    const url = `${node.origin}/v2/team/app/blobs/${digest}${query}`;
    const response = await fetch(url, { headers: { range: 'bytes=0-' } });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-length'), '0');
    assert.equal((await response.arrayBuffer()).byteLength, 0);
  });

  it('answers errors in the form of the specification', async () => {
    await using node = await startMirror();
    for (const [method, path, status, code] of [
      ['GET', '/v2/team/app/blobs/sha256:1', 400, 'DIGEST_INVALID'],
      ['GET', `/v2/Team/app/manifests/1${query}`, 400, 'NAME_INVALID'],
      ['GET', `/v2/team/app/manifests/1${query}`, 404, 'MANIFEST_UNKNOWN'],
      ['GET', '/v2/team/app/manifests/.INVALID_MANIFEST_NAME', 404, 'MANIFEST_UNKNOWN'],
      ['GET', `/v2/team/app/blobs/sha256:${'0'.repeat(64)}`, 404, 'BLOB_UNKNOWN'],
      ['GET', '/v2/_catalog', 404, 'NAME_UNKNOWN'],
      ['POST', '/v2/team/app/blobs/uploads/', 405, 'UNSUPPORTED'],
    ] as const) {
      const response = await fetch(`${node.origin}${path}`, { method });
      assert.equal(response.status, status, path);
      const body = (await response.json()) as { errors: { code: string }[] };
      assert.equal(body.errors[0]?.code, code);
    }
  });

  it('opens a manifest once, and checks for each request that the store still holds it', async () => {
    await using node = await startMirror();
    const image = makeImage(1000);
    putImage(node.store, image, NAME);
    const { digest } = image.manifest;
    const open = mock.method(node.store, 'open');
    for (const reference of ['1.0', digest, '1.0', digest]) {
      const response = await fetch(`${node.origin}/v2/team/app/manifests/${reference}${query}`);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), image.blobs.get(digest));
    }
    assert.equal(open.mock.callCount(), 1);
    node.store.deleteBlob(digest);
    await delay(20); // Longer than a read of the store may be shared.
    for (const reference of ['1.0', digest]) {
      // A read of a few milliseconds ago may still be shared.
      await eventually(async () => {
        const response = await fetch(`${node.origin}/v2/team/app/manifests/${reference}${query}`);
        await response.body?.cancel();
        assert.equal(response.status, 404);
      });
    }
  });

  it('does not serve a layer as a manifest', async () => {
    await using node = await startMirror();
    const digest = node.store.putBlob(Buffer.from('no manifest'));
    const response = await fetch(`${node.origin}/v2/team/app/manifests/${digest}${query}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
  });
});

describe('MirrorHandler, for content that a peer holds', () => {
  it('forwards a manifest by tag, blobs and ranges from a peer', async () => {
    await using holder = await startMirror();
    const image = makeImage(10, 6_000_000);
    putImage(holder.store, image, NAME);
    await using node = await startMirror({ router: new FixedRouter(providerOf('A', holder)) });

    const tag = await fetch(`${node.origin}/v2/team/app/manifests/1.0${query}`);
    assert.equal(tag.status, 200);
    assert.equal(tag.headers.get('docker-content-digest'), image.manifest.digest);
    assert.equal(tag.headers.get('content-type'), image.manifest.mediaType);
    assert.deepEqual(Buffer.from(await tag.arrayBuffer()), image.blobs.get(image.manifest.digest));

    for (const digest of image.layers) {
      const content = image.blobs.get(digest) ?? Buffer.alloc(0);
      const url = `${node.origin}/v2/team/app/blobs/${digest}${query}`;
      const head = await fetch(url, { method: 'HEAD' });
      assert.equal(head.headers.get('content-length'), String(content.length));
      const whole = await fetch(url);
      assert.equal(whole.status, 200);
      assert.deepEqual(Buffer.from(await whole.arrayBuffer()), content);
      const rest = await fetch(url, { headers: { range: 'bytes=3-' } });
      assert.equal(rest.status, 206);
      assert.equal(
        rest.headers.get('content-range'),
        `bytes 3-${content.length - 1}/${content.length}`,
      );
      assert.deepEqual(Buffer.from(await rest.arrayBuffer()), content.subarray(3));
      const beyond = await fetch(url, { headers: { range: `bytes=${content.length}-` } });
      assert.equal(beyond.status, 416);
      await beyond.body?.cancel();
    }
  });

  it('answers a peer from its own store only, so that no request goes in circles', async () => {
    await using holder = await startMirror();
    const image = makeImage(10);
    putImage(holder.store, image, NAME);
    await using node = await startMirror({ router: new FixedRouter(providerOf('A', holder)) });
    const response = await fetch(`${node.origin}/v2/team/app/manifests/1.0${query}`, {
      headers: { 'x-spegel-mirrored': 'true' },
    });
    assert.equal(response.status, 404);
    await response.body?.cancel();
  });

  it('survives hundreds of ranges that the client closes early, and leaves no connection open', async () => {
    await using holder = await startMirror();
    const image = makeImage(64 * 1024 * 1024);
    putImage(holder.store, image, NAME);
    await using node = await startMirror({ router: new FixedRouter(providerOf('A', holder)) });
    const [digest] = image.layers;
    assert.ok(digest !== undefined);
    const url = `${node.origin}/v2/team/app/blobs/${digest}${query}`;
    for (let round = 0; round < 30; round++) {
      await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const start = (round * 10 + index) * 200_000;
          const response = await fetch(url, { headers: { range: `bytes=${start}-` } });
          assert.equal(response.status, 206);
          assert.ok(response.body !== null);
          const reader = (response.body as ReadableStream<Uint8Array>).getReader();
          const { value } = await reader.read();
          const content = image.blobs.get(digest) ?? Buffer.alloc(0);
          assert.ok(value !== undefined);
          assert.ok(content.subarray(start, start + value.length).equals(value));
          await reader.cancel();
        }),
      );
    }
    // The client closes its side late: what matters is that all are closed.
    await eventually(() => {
      const sockets = process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap');
      assert.ok(sockets.length < 100, `${sockets.length} sockets`);
    });
    const metrics = await node.metrics.registry.metrics();
    assert.doesNotMatch(metrics, /peerglass_peer_failures_total\{/);
  });

  it('answers a peer with 503 when its store cannot be reached, because a peer would forget it after 404', async () => {
    await using node = await startMirror();
    const image = makeImage(10);
    putImage(node.store, image, NAME);
    node.store.available = false;
    for (const path of ['manifests/1.0', `blobs/${image.config}`]) {
      const url = `${node.origin}/v2/team/app/${path}${query}`;
      const response = await fetch(url, { headers: { 'x-spegel-mirrored': 'true' } });
      assert.equal(response.status, 503, path);
      await response.body?.cancel();
    }
  });

  it('serves further requests from a peer while a hundred clients do not read', async () => {
    await using holder = await startMirror();
    const image = makeImage(16 * 1024 * 1024);
    putImage(holder.store, image, NAME);
    const router = new FixedRouter(providerOf('A', holder));
    await using node = await startMirror({ router, headTimeout: 20_000, firstByteBudget: 20_000 });
    const url = `${node.origin}/v2/team/app`;
    const slow = await Promise.all(
      Array.from({ length: 100 }, () => fetch(`${url}/blobs/${image.layers[0] ?? ''}${query}`)),
    );
    const manifest = await fetch(`${url}/manifests/1.0${query}`);
    assert.equal(manifest.status, 200);
    await manifest.body?.cancel();
    for (const { body } of slow) await body?.cancel();
  });

  for (const [moment, vanish] of [
    ['is opened', () => Promise.resolve(undefined)],
    [
      'is read',
      async (open: () => Promise<OpenBlob | undefined>) => {
        const blob = await open();
        assert.ok(blob !== undefined);
        blob.stream = () =>
          new Readable({
            read() {
              this.destroy(new Error('vanished'));
            },
          });
        return blob;
      },
    ],
  ] as const) {
    it(`goes on to peers when a blob is removed after it was found and before it ${moment}`, async () => {
      await using holder = await startMirror();
      const image = makeImage(10, 6_000_000);
      putImage(holder.store, image, NAME);
      await using node = await startMirror({ router: new FixedRouter(providerOf('A', holder)) });
      putImage(node.store, image, NAME);
      const open = node.store.open.bind(node.store);
      node.store.open = (digest, signal) => vanish(() => open(digest, signal));
      for (const path of [
        'manifests/1.0',
        `manifests/${image.manifest.digest}`,
        ...image.layers.map((digest) => `blobs/${digest}`),
      ]) {
        const response = await fetch(`${node.origin}/v2/team/app/${path}${query}`);
        assert.equal(response.status, 200, path);
        assert.equal(response.headers.get('x-peerglass-source'), holder.origin);
        const digest = response.headers.get('docker-content-digest') ?? '';
        assert.deepEqual(
          Buffer.from(await response.arrayBuffer()),
          image.blobs.get(digest as Digest),
        );
      }
    });
  }

  it('goes on to peers when its own store cannot be reached', async () => {
    await using holder = await startMirror();
    const image = makeImage(10);
    putImage(holder.store, image, NAME);
    await using node = await startMirror({ router: new FixedRouter(providerOf('A', holder)) });
    node.store.available = false;
    const response = await fetch(`${node.origin}/v2/team/app/manifests/1.0${query}`);
    assert.equal(response.status, 200);
    await response.body?.cancel();
  });
});

describe('MirrorHandler, for content that is not shared', () => {
  const policy = new SharePolicy({ filters: [/^registry\.example\/secret\//] });

  it('serves the image of the tag latest by digest, and not by tag', async () => {
    await using node = await startMirror();
    const image = makeImage(10);
    putImage(node.store, image, 'registry.example/team/app:latest');
    const url = `${node.origin}/v2/team/app/manifests`;
    const tag = await fetch(`${url}/latest${query}`);
    assert.equal(tag.status, 404);
    await tag.body?.cancel();
    const digest = await fetch(`${url}/${image.manifest.digest}${query}`);
    assert.equal(digest.status, 200);
    await digest.body?.cancel();
  });

  it('serves an image of a registry on the node itself by digest, and not by tag', async () => {
    await using node = await startMirror();
    const image = makeImage(10);
    putImage(node.store, image, 'localhost:30500/team/app:1');
    for (const headers of [{}, { 'x-spegel-mirrored': 'true' }]) {
      const get = (reference: string): Promise<Response> =>
        fetch(`${node.origin}/v2/team/app/manifests/${reference}?ns=localhost:30500`, { headers });
      const tag = await get('1');
      assert.equal(tag.status, 404);
      assert.match(await tag.text(), /on the node itself/);
      const digest = await get(image.manifest.digest);
      assert.equal(digest.status, 200);
      await digest.body?.cancel();
    }
  });

  it('answers no tag without tags, its own or one of a peer, and content by digest', async () => {
    await using holder = await startMirror();
    const [own, other] = [makeImage(10), makeImage(20)];
    putImage(holder.store, other, 'registry.example/team/app:2.0');
    await using node = await startMirror({
      policy: new SharePolicy({ tags: false }),
      router: new FixedRouter(providerOf('A', holder)),
    });
    putImage(node.store, own, NAME);
    const statusOf = async (reference: string, init: RequestInit = {}): Promise<number> => {
      const response = await fetch(
        `${node.origin}/v2/team/app/manifests/${reference}${query}`,
        init,
      );
      await response.body?.cancel();
      return response.status;
    };
    for (const method of ['GET', 'HEAD']) {
      for (const tag of ['1.0', '2.0']) assert.equal(await statusOf(tag, { method }), 404);
      const peer = { method, headers: { 'x-spegel-mirrored': 'true' } };
      assert.equal(await statusOf('1.0', peer), 404);
      assert.equal(await statusOf(own.manifest.digest, peer), 200);
      for (const { manifest } of [own, other]) {
        assert.equal(await statusOf(manifest.digest, { method }), 200);
      }
    }
  });

  it('serves the tag latest when the policy shares it', async () => {
    await using node = await startMirror({ policy: new SharePolicy({ latest: true }) });
    putImage(node.store, makeImage(10), 'registry.example/team/app:latest');
    const response = await fetch(`${node.origin}/v2/team/app/manifests/latest${query}`);
    assert.equal(response.status, 200);
    await response.body?.cancel();
  });

  it('serves content of images that are not shared under no other name', async () => {
    await using node = await startMirror({ sharesDigest: () => false });
    const image = makeImage(10);
    putImage(node.store, image, NAME);
    for (const path of [
      `/v2/x/blobs/${image.config}`,
      `/v2/x/manifests/${image.manifest.digest}`,
    ]) {
      const response = await fetch(`${node.origin}${path}`);
      assert.equal(response.status, 404, path);
      await response.body?.cancel();
    }
  });

  it('serves nothing of a filtered repository, neither to clients nor to peers', async () => {
    await using node = await startMirror({ policy });
    const image = makeImage(10);
    putImage(node.store, image, 'registry.example/secret/app:1.0');
    for (const headers of [{}, { 'x-spegel-mirrored': 'true' }]) {
      const shouted = '?ns=REGISTRY.example';
      const response = await fetch(`${node.origin}/v2/secret/app/manifests/1.0${shouted}`, {
        headers,
      });
      assert.equal(response.status, 404);
      await response.body?.cancel();
      for (const path of [
        'manifests/1.0',
        `manifests/${image.manifest.digest}`,
        `blobs/${image.config}`,
      ]) {
        const response = await fetch(`${node.origin}/v2/secret/app/${path}${query}`, { headers });
        assert.equal(response.status, 404, path);
        await response.body?.cancel();
      }
    }
  });
});

describe('MirrorHandler, while the registry of an authorized image is away', () => {
  const policy = new SharePolicy({ rules: [parseShareRule('registry.example=authorized')] });
  let isAway = true;
  const outage = new OutageAnswers({
    policy,
    holds: ({ tag }) => tag !== 'gone',
    isLocal: () => true,
    probe: { answers: () => Promise.resolve(!isAway) },
  });

  it('answers what this node has, to its own clients only', async () => {
    await using holder = await startMirror();
    const [own, other] = [makeImage(10), makeImage(20)];
    putImage(holder.store, other, 'registry.example/team/app:2.0');
    const router = new FixedRouter(providerOf('A', holder));
    await using node = await startMirror({ policy, outage, router });
    putImage(node.store, own, NAME);
    const statusOf = async (reference: string, init: RequestInit = {}): Promise<number> => {
      const url = `${node.origin}/v2/team/app/manifests/${reference}${query}`;
      const response = await fetch(url, init);
      await response.body?.cancel();
      return response.status;
    };
    const { digest } = own.manifest;
    for (const away of [true, false, true]) {
      isAway = away;
      const expected = away ? 200 : 404;
      assert.equal(await statusOf('1.0', { method: 'HEAD' }), expected);
      assert.equal(await statusOf('1.0'), expected);
      assert.equal(await statusOf(digest, { method: 'HEAD' }), expected);
      assert.equal(await statusOf('gone'), 404);
      assert.equal(await statusOf('2.0'), 404, 'what a peer has');
      const headers = { 'x-spegel-mirrored': 'true' };
      assert.equal(await statusOf('1.0', { headers }), 404, 'to a peer');
      assert.equal(
        await statusOf(other.manifest.digest),
        200,
        'its content by digest is still given',
      );
    }
  });
});
