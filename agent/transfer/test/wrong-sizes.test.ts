import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { makeImage, sha256 } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

const LARGE = 5_000_000;
const image = makeImage(1_000, LARGE);
const [small, large] = image.layers as [Digest, Digest];
const manifest = image.manifest.digest;

/** Digests with bytes. */
type Blobs = ReadonlyMap<Digest, Buffer>;

/** What a peer does otherwise than it should. */
interface Lies {
  /** States so many bytes more in answer to HEAD. */
  readonly inHead?: number;
  /** States this media type for all manifests. */
  readonly mediaType?: string;
  /** Knows no other digest for the tag. */
  readonly tag?: Digest;
}

/** Serves blobs and manifests, whole or from an offset on. */
function peer(blobs: Blobs, { inHead = 0, mediaType, tag }: Lies = {}): Promise<RoguePeer> {
  return startRogue((socket: Socket, request) => {
    const [, method, kind, reference = ''] =
      /^(\S+) \S*\/(\w+)\/(\S+?)(?:\?| )/.exec(request) ?? [];
    const digest = reference === '1.0' && tag !== undefined ? tag : (reference as Digest);
    const bytes = blobs.get(digest);
    if (bytes === undefined) {
      socket.write(responseHead(404, { 'content-length': 0 }));
      return;
    }
    const start = /range: bytes=(\d+)-/i.exec(request)?.[1];
    const from = Number(start ?? 0);
    const length = bytes.length - from + (method === 'HEAD' ? inHead : 0);
    const type = kind === 'manifests' ? (mediaType ?? image.manifest.mediaType) : MEDIA_TYPE.binary;
    const head = {
      'content-length': length,
      'content-type': type,
      'docker-content-digest': digest,
      ...(start && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    };
    socket.write(responseHead(start === undefined ? 200 : 206, head));
    if (method === 'GET') socket.write(bytes.subarray(from));
  });
}

/** A manifest that names these blobs with these sizes. */
function manifestNaming(...sizes: readonly (readonly [Digest, number])[]): Buffer {
  const config = { mediaType: MEDIA_TYPE.ociConfig, digest: image.config, size: 10 };
  const layers = sizes.map(([digest, size]) => ({ mediaType: 'x/y', digest, size }));
  const fields = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociManifest, config, layers };
  return Buffer.from(JSON.stringify(fields));
}

function bytesOf(digest: Digest): Buffer {
  return image.blobs.get(digest) ?? Buffer.alloc(0);
}

function ask(
  { origin }: MirrorNode,
  path: string,
  init: RequestInit = {},
  repository = 'team/app',
): Promise<Response> {
  return fetch(`${origin}/v2/${repository}/${path}?ns=registry.example`, init);
}

async function protocolFaults({ metrics }: MirrorNode): Promise<number> {
  const { values } = await metrics.peerFailures.get();
  return values.find(({ labels }) => labels.reason === 'protocol')?.value ?? 0;
}

function gets(digest: string, { requests }: RoguePeer): number {
  return requests.filter((it) => it.startsWith('GET') && it.includes(digest)).length;
}

describe('a HEAD', () => {
  it('of a manifest has the length of the verified manifest, by tag and by digest', async () => {
    await using liar = await peer(image.blobs, { inHead: 273, tag: manifest });
    await using honest = await peer(image.blobs, { tag: manifest });
    const router = new FixedRouter(providerOf('liar', liar), providerOf('honest', honest));
    await using node = await startMirror({ router });
    for (const reference of ['1.0', manifest]) {
      const head = await ask(node, `manifests/${reference}`, { method: 'HEAD' });
      assert.equal(head.status, 200);
      assert.equal(head.headers.get('docker-content-digest'), manifest);
      assert.equal(Number(head.headers.get('content-length')), bytesOf(manifest).length);
    }
    const body = await ask(node, `manifests/${manifest}`);
    assert.deepEqual(Buffer.from(await body.arrayBuffer()), bytesOf(manifest));
    // One for each HEAD; the GET takes the bytes of the last one.
    assert.equal(gets('manifests', liar) + gets('manifests', honest), 2);
  });

  it('of a manifest of which no peer has right bytes is 404', async () => {
    const wrong = new Map([[manifest, Buffer.alloc(bytesOf(manifest).length, ' ')]]);
    await using liar = await peer(wrong);
    await using node = await startMirror({ router: new FixedRouter(providerOf('liar', liar)) });
    assert.equal((await ask(node, `manifests/${manifest}`, { method: 'HEAD' })).status, 404);
  });

  it('of a small blob has the length of the verified blob, and who stated another has failed', async () => {
    await using liar = await peer(image.blobs, { inHead: 273 });
    await using honest = await peer(image.blobs);
    const router = new FixedRouter(providerOf('liar', liar), providerOf('honest', honest));
    await using node = await startMirror({ router });
    const head = await ask(node, `blobs/${small}`, { method: 'HEAD' });
    assert.equal(Number(head.headers.get('content-length')), 1_000);
    assert.equal(await protocolFaults(node), 1);
  });

  it('between peers that is contradicted by the verified content is a fault', async () => {
    // The first has nothing, so that the others are probed.
    await using first = await peer(new Map());
    await using liar = await peer(image.blobs, { inHead: 273 });
    const router = new FixedRouter(providerOf('first', first), providerOf('liar', liar));
    await using node = await startMirror({ router });
    const answer = await ask(node, `manifests/${manifest}`);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytesOf(manifest));
    assert.equal(await protocolFaults(node), 1);
  });
});

describe('a peer that states the type of an index for an image manifest', () => {
  it('has failed, and the type of another peer is taken', async () => {
    await using liar = await peer(image.blobs, { mediaType: MEDIA_TYPE.ociIndex });
    await using honest = await peer(image.blobs);
    const router = new FixedRouter(providerOf('liar', liar), providerOf('honest', honest));
    await using node = await startMirror({ router });
    const head = await ask(node, `manifests/${manifest}`, { method: 'HEAD' });
    assert.equal(head.headers.get('content-type'), MEDIA_TYPE.ociManifest);
    assert.equal(await protocolFaults(node), 1);
  });
});

describe('a manifest that names a wrong size', () => {
  for (const [where, repository] of [
    ['in another repository', 'evil/app'],
    ['in the same repository', 'team/app'],
  ] as const) {
    it(`${where} keeps no holder of the blob out, at its beginning or later`, async () => {
      const evil = manifestNaming([large, 123], [small, 7]);
      const digest = sha256(evil);
      await using holder = await peer(new Map([...image.blobs, [digest, evil]]));
      const router = new FixedRouter(providerOf('holder', holder));
      await using node = await startMirror({ router });
      const noted = await ask(node, `manifests/${digest}`, {}, repository);
      assert.equal(noted.status, 200);
      await noted.arrayBuffer();
      for (const blob of [small, large]) {
        const whole = await ask(node, `blobs/${blob}`);
        assert.equal(whole.status, 200);
        assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytesOf(blob));
      }
      // It is named again while a client fetches the blob in chunks.
      await (await ask(node, `manifests/${digest}`, {}, repository)).arrayBuffer();
      const chunk = await ask(node, `blobs/${large}`, { headers: { range: 'bytes=4000000-' } });
      assert.equal(chunk.status, 206);
      assert.deepEqual(Buffer.from(await chunk.arrayBuffer()), bytesOf(large).subarray(4_000_000));
    });
  }

  it('does not help a peer with another size, while one with the size of the manifest is there', async () => {
    const named = manifestNaming([large, LARGE]);
    const wrong = new Map([...image.blobs, [large, Buffer.alloc(LARGE + 1)]]);
    await using long = await peer(wrong);
    await using holder = await peer(new Map([...image.blobs, [sha256(named), named]]));
    const router = new FixedRouter(providerOf('long', long), providerOf('holder', holder));
    await using node = await startMirror({ router });
    await (await ask(node, `manifests/${sha256(named)}`)).arrayBuffer();
    const blob = await ask(node, `blobs/${large}`);
    assert.deepEqual(Buffer.from(await blob.arrayBuffer()), bytesOf(large));
  });
});
