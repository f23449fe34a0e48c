import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { IngestFolder } from '../../store/containerd/ingest-folder.ts';
import type { Ingests } from '../../store/ingests.ts';
import type { Provider } from '../../routing/router.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

const LARGE = 6_000_000;
const MIDDLE = 3_000_000;
const image = makeImage(1_000, 100_000, LARGE);
const [small, medium, large] = image.layers as [Digest, Digest, Digest];

function bytesOf(digest: Digest): Buffer {
  return image.blobs.get(digest) ?? Buffer.alloc(0);
}

/** The bytes, but for one in the middle. */
function wrong(bytes: Buffer): Buffer {
  const altered = Buffer.from(bytes);
  const middle = altered.length >> 1;
  altered.writeUInt8(altered.readUInt8(middle) ^ 1, middle);
  return altered;
}

/** Serves the blobs of the image, whole or from an offset, changed by `alter`. It breaks off before `end`. */
function peer(alter: (bytes: Buffer) => Buffer, end = Infinity): Promise<RoguePeer> {
  return startRogue((socket: Socket, request) => {
    const digest = /blobs\/(\S+?)(?:\?| )/.exec(request)?.[1] as Digest;
    const bytes = alter(bytesOf(digest));
    const start = Number(/range: bytes=(\d+)-/i.exec(request)?.[1] ?? 0);
    const last = bytes.length - 1;
    const head = {
      'content-length': bytes.length - start,
      'docker-content-digest': digest,
      ...(start > 0 && { 'content-range': `bytes ${start}-${last}/${bytes.length}` }),
    };
    socket.write(responseHead(start > 0 ? 206 : 200, head));
    if (!request.startsWith('GET')) return;
    socket.write(bytes.subarray(start, end));
    if (end < bytes.length) socket.end();
  });
}

const honest = (bytes: Buffer): Buffer => bytes;

function requestsFor(digest: Digest, { requests }: RoguePeer): number {
  return requests.filter((it) => it.startsWith('GET') && it.includes(digest)).length;
}

async function digestMismatches({ metrics }: MirrorNode): Promise<Record<string, number>> {
  const { values } = await metrics.digestMismatches.get();
  return Object.fromEntries(
    values.map(({ labels, value }) => [`${labels.peer ?? ''} ${labels.noticed ?? ''}`, value]),
  );
}

async function outcome({ metrics }: MirrorNode, result: string): Promise<number> {
  const { values } = await metrics.deliveryResults.get();
  return values.find(({ labels }) => labels.result === result)?.value ?? 0;
}

function get(node: MirrorNode, digest: Digest, range?: string): Promise<Response> {
  const headers = range === undefined ? {} : { range };
  return fetch(`${node.origin}/v2/team/app/blobs/${digest}?ns=registry.example`, { headers });
}

async function read(node: MirrorNode, digest: Digest, range?: string): Promise<Buffer> {
  return Buffer.from(await (await get(node, digest, range)).arrayBuffer());
}

/** The ingests of a containerd. */
class Ingesting implements AsyncDisposable {
  readonly ingests: Ingests;
  readonly aborted: string[] = [];
  opened = 0;
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
    const folder = new IngestFolder({
      contentPath: path,
      namespace: 'k8s.io',
      abort: async (ref) => {
        this.aborted.push(ref);
        await rm(join(path, 'ingest', 'one'), { recursive: true });
      },
    });
    this.ingests = {
      has: (digest) => folder.has(digest),
      open: async (digest) => {
        const ingest = await folder.open(digest);
        this.opened += 1;
        return ingest;
      },
    };
  }

  static async create(): Promise<Ingesting> {
    return new Ingesting(await mkdtemp(join(tmpdir(), 'pg-ingest-')));
  }

  /** Creates an ingest, as containerd does before it requests the first byte. */
  async begin(digest: Digest, namespace = 'k8s.io'): Promise<void> {
    await mkdir(join(this.#path, 'ingest', 'one'), { recursive: true });
    await writeFile(join(this.#path, 'ingest', 'one', 'ref'), `${namespace}/1/layer-${digest}`);
    await writeFile(join(this.#path, 'ingest', 'one', 'total'), String(bytesOf(digest).length));
    await this.write(Buffer.alloc(0));
  }

  async write(bytes: Buffer): Promise<void> {
    await writeFile(join(this.#path, 'ingest', 'one', 'data'), bytes);
  }

  /** Moves the data to the blobs, as a commit does. */
  async commit(): Promise<void> {
    await rename(join(this.#path, 'ingest', 'one', 'data'), join(this.#path, 'blob'));
    await rm(join(this.#path, 'ingest', 'one'), { recursive: true });
  }

  /** Removes the ingest, as garbage collection does after a failed pull. */
  async collect(): Promise<void> {
    await rm(join(this.#path, 'ingest', 'one'), { recursive: true });
  }

  left(): Promise<string[]> {
    return readdir(join(this.#path, 'ingest'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#path, { recursive: true });
  }
}

function providers(...peers: RoguePeer[]): Provider[] {
  return peers.map((it, index) => providerOf(['liar', 'second', 'third'][index] ?? '', it));
}

describe('a peer that sends wrong bytes of small content', () => {
  it('is blocked for the blob, and after three blobs for everything', async () => {
    await using liar = await peer(wrong);
    await using good = await peer(honest);
    await using node = await startMirror({ router: new FixedRouter(...providers(liar, good)) });
    for (const digest of [small, medium, image.config]) {
      assert.deepEqual(await read(node, digest), bytesOf(digest));
      assert.deepEqual(await read(node, digest), bytesOf(digest));
      assert.equal(requestsFor(digest, liar), 1, 'not asked again');
    }
    assert.deepEqual(await digestMismatches(node), { 'liar held-back': 3 });
    assert.deepEqual(await read(node, large), bytesOf(large));
    assert.equal(requestsFor(large, liar), 0, 'not asked for anything else either');
  });

  it('is blocked also when the client requested only a range', async () => {
    await using liar = await peer(wrong);
    await using good = await peer(honest);
    await using node = await startMirror({ router: new FixedRouter(...providers(liar, good)) });
    const response = await get(node, medium, 'bytes=40000-');
    assert.equal(response.status, 206);
    const body = Buffer.from(await response.arrayBuffer());
    assert.deepEqual(body, bytesOf(medium).subarray(40_000));
    assert.deepEqual(await digestMismatches(node), { 'liar held-back': 1 });
  });

  it('is blocked for blobs up to the configured size of the verified buffer', async () => {
    await using liar = await peer(wrong);
    await using good = await peer(honest);
    const router = new FixedRouter(...providers(liar, good));
    await using node = await startMirror({
      router,
      verifiedBuffer: { size: LARGE, memory: LARGE },
    });
    assert.deepEqual(await read(node, large), bytesOf(large));
    assert.deepEqual(await digestMismatches(node), { 'liar held-back': 1 });
    await using other = await startMirror({ router, verifiedBuffer: { size: 500 } });
    await assert.rejects(read(other, small), 'it is cut through, and the body breaks');
  });
});

describe('a client that is not known to verify its blobs', () => {
  it('gets an incomplete body rather than a wrong one, and the peer is not asked again', async () => {
    await using liar = await peer(wrong);
    await using good = await peer(honest);
    await using node = await startMirror({ router: new FixedRouter(...providers(liar, good)) });
    await assert.rejects(read(node, large));
    assert.deepEqual(await digestMismatches(node), { 'liar passed-on': 1 });
    assert.deepEqual(await read(node, large), bytesOf(large));
    assert.equal(requestsFor(large, liar), 1);
    assert.equal(await outcome(node, 'right'), 1);
  });

  it('gets a range that is not verified', async () => {
    await using liar = await peer(wrong);
    await using node = await startMirror({ router: new FixedRouter(...providers(liar)) });
    assert.equal((await read(node, large, 'bytes=1000-')).length, LARGE - 1_000);
    assert.equal((await read(node, large, 'bytes=1000-')).length, LARGE - 1_000);
    assert.deepEqual(await digestMismatches(node), {});
  });

  it('is not taken for a client with an ingest in another namespace', async () => {
    await using ingesting = await Ingesting.create();
    await ingesting.begin(large, 'moby');
    await using liar = await peer(wrong);
    const init = { router: new FixedRouter(...providers(liar)), ingests: ingesting.ingests };
    await using node = await startMirror(init);
    await assert.rejects(read(node, large));
  });
});

describe('a client with an ingest', () => {
  it('gets the bytes as they arrive, and a blob that it commits is not hashed', async () => {
    await using ingesting = await Ingesting.create();
    await using good = await peer(honest);
    const init = { router: new FixedRouter(...providers(good)), ingests: ingesting.ingests };
    await using node = await startMirror(init);
    await ingesting.begin(large);
    await ingesting.write(await read(node, large));
    await ingesting.commit();
    node.store.putBlob(bytesOf(large), large);
    await eventually(async () => {
      assert.equal(await outcome(node, 'committed'), 1);
    });
    assert.equal(await outcome(node, 'right'), 0);
  });

  it('has a wrong ingest aborted, and gets the blob from another peer at its next request', async () => {
    await using ingesting = await Ingesting.create();
    await using liar = await peer(wrong);
    await using good = await peer(honest);
    const init = { router: new FixedRouter(...providers(liar, good)), ingests: ingesting.ingests };
    await using node = await startMirror(init);
    await ingesting.begin(large);
    const body = await read(node, large);
    assert.deepEqual(body, wrong(bytesOf(large)), 'cut through as it arrived');
    await ingesting.write(body);
    await eventually(async () => {
      assert.equal(await outcome(node, 'wrong'), 1);
    });
    assert.deepEqual(ingesting.aborted, [`layer-${large}`]);
    assert.deepEqual(await ingesting.left(), []);
    await eventually(async () => {
      assert.deepEqual(await digestMismatches(node), { 'liar passed-on': 1 });
    });
    await ingesting.begin(large);
    assert.deepEqual(await read(node, large), bytesOf(large));
    assert.equal(requestsFor(large, liar), 1);
  });

  it('waits for the outcome when it requests a wrong blob again at once, and gets the right bytes', async () => {
    await using ingesting = await Ingesting.create();
    await using liar = await peer(wrong);
    await using good = await peer(honest);
    const init = { router: new FixedRouter(...providers(liar, good)), ingests: ingesting.ingests };
    await using node = await startMirror(init);
    for (let left = 2; left > 0; left--) {
      await ingesting.begin(large);
      await ingesting.write(await read(node, large));
      if (left === 1) continue;
      // Garbage collection removes the ingest. Only the open file is left to be hashed.
      await eventually(() => {
        assert.equal(ingesting.opened, 1);
      });
      await ingesting.collect();
    }
    assert.equal(requestsFor(large, liar), 1);
    assert.equal(requestsFor(large, good), 1);
    assert.deepEqual(await digestMismatches(node), { 'liar passed-on': 1 });
    assert.deepEqual(ingesting.aborted, [], 'there was nothing to abort');
  });

  it('is not disturbed while it has not received all bytes', async () => {
    await using ingesting = await Ingesting.create();
    await using liar = await peer(wrong);
    const init = { router: new FixedRouter(...providers(liar)), ingests: ingesting.ingests };
    await using node = await startMirror(init);
    await ingesting.begin(large);
    const body = await read(node, large);
    await ingesting.write(body.subarray(0, LARGE - 1));
    // A request meanwhile does not wait.
    assert.equal((await get(node, large, `bytes=${LARGE - 1}-`)).status, 206);
    assert.equal(await outcome(node, 'wrong'), 0);
    assert.deepEqual(ingesting.aborted, []);
    await ingesting.write(body);
    await eventually(() => {
      assert.equal(ingesting.aborted.length, 1);
    });
  });
});

describe('wrong bytes of a blob that several peers delivered', () => {
  it('are attributed to the peer that sent them, and the other peer is cleared', async () => {
    await using ingesting = await Ingesting.create();
    await using breaking = await peer(honest, MIDDLE);
    await using liar = await peer(wrong);
    await using third = await peer(honest);
    const [first, second, last] = providers(breaking, liar, third) as [
      Provider,
      Provider,
      Provider,
    ];
    const router = new FixedRouter(first, { ...second, peerId: 'the liar' }, last);
    await using node = await startMirror({ router, ingests: ingesting.ingests });
    await ingesting.begin(large);
    const body = await read(node, large);
    assert.deepEqual(body, wrong(bytesOf(large)));
    await ingesting.write(body);
    await eventually(async () => {
      assert.deepEqual(await digestMismatches(node), { 'the liar passed-on': 1 });
    });
    await ingesting.begin(large);
    assert.deepEqual(await read(node, large), bytesOf(large));
    assert.equal(requestsFor(large, liar), 2, 'once to deliver, once to be examined');
  });
});
