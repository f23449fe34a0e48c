import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { makeImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

const CHUNK = 2_000_000;
const SIZE = 7 * CHUNK + 1000;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const blob = image.blobs.get(digest) ?? Buffer.alloc(0);

/** A peer that serves every range, and records the requests. */
function startHolder(): Promise<RoguePeer> {
  return startRogue((socket, request) => {
    const [, first = '0', last = ''] = /range: bytes=(\d+)-(\d*)/i.exec(request) ?? [];
    const [start, end] = [Number(first), last === '' ? SIZE - 1 : Number(last)];
    const head = responseHead(206, {
      'content-length': end - start + 1,
      'content-range': `bytes ${start}-${end}/${SIZE}`,
      'docker-content-digest': digest,
    });
    socket.write(Buffer.concat([Buffer.from(head), blob.subarray(start, end + 1)]));
  });
}

function rangesRequestedOf({ requests }: RoguePeer): string[] {
  return requests.map((request) => /range: (\S+)/i.exec(request)?.[1] ?? '');
}

/** Requests all bytes from an offset on, as containerd does for each chunk. */
function open({ origin }: MirrorNode, start: number): Promise<Response> {
  const url = `${origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
  return fetch(url, { headers: { range: `bytes=${start}-` } });
}

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

describe('a client that fetches a blob in chunks', { timeout: 300_000 }, () => {
  it('has peers asked for the same chunks, over connections that are kept', async () => {
    await using holder = await startHolder();
    await using node = await startMirror({ router: new FixedRouter(providerOf('holder', holder)) });
    for (const response of [await open(node, 0), await open(node, CHUNK)]) {
      await response.body?.cancel();
    }
    for (const start of [2 * CHUNK, 3 * CHUNK, 4 * CHUNK]) {
      const response = await open(node, start);
      assert.equal(response.status, 206);
      assert.equal(response.headers.get('content-range'), `bytes ${start}-${SIZE - 1}/${SIZE}`);
      const body: ReadableStream<Uint8Array> | null = response.body;
      const reader = body?.getReader();
      const read: Uint8Array[] = [];
      for (let length = 0; length < CHUNK;) {
        const { value } = (await reader?.read()) ?? {};
        assert.ok(value !== undefined);
        read.push(value);
        length += value.length;
      }
      assert.ok(Buffer.concat(read).equals(blob.subarray(start, start + CHUNK)));
      await reader?.cancel();
    }
    assert.deepEqual(rangesRequestedOf(holder), [
      'bytes=0-',
      `bytes=${CHUNK}-${2 * CHUNK - 1}`,
      `bytes=${2 * CHUNK}-${3 * CHUNK - 1}`,
      `bytes=${3 * CHUNK}-${4 * CHUNK - 1}`,
      `bytes=${4 * CHUNK}-${5 * CHUNK - 1}`,
    ]);
    // One for each request that was broken off, and one for all predicted chunks.
    assert.ok(holder.accepted <= 3, `${holder.accepted} connections`);
  });

  it('gets the whole blob when it reads past a predicted end, in one body after two of them', async () => {
    await using holder = await startHolder();
    await using node = await startMirror({ router: new FixedRouter(providerOf('holder', holder)) });
    const first = await open(node, 0);
    const rest = await open(node, CHUNK);
    assert.ok((await bytesOf(rest)).equals(blob.subarray(CHUNK)));
    assert.ok((await bytesOf(first)).equals(blob));
    assert.deepEqual(rangesRequestedOf(holder), [
      'bytes=0-',
      `bytes=${CHUNK}-${2 * CHUNK - 1}`,
      `bytes=${2 * CHUNK}-${3 * CHUNK - 1}`,
      `bytes=${3 * CHUNK}-${SIZE - 1}`,
    ]);
  });

  it('gets the next byte from another peer when one breaks off in the middle of a chunk', async () => {
    await using holder = await startHolder();
    let broken = 0;
    await using rogue = await startRogue((socket, request) => {
      const [, start = 0, end = 0] = (/bytes=(\d+)-(\d+)/.exec(request) ?? []).map(Number);
      broken += 1;
      const head = responseHead(206, {
        'content-length': end - start + 1,
        'content-range': `bytes ${start}-${end}/${SIZE}`,
      });
      socket.end(Buffer.concat([Buffer.from(head), blob.subarray(start, start + 100_000)]));
    });
    const router = new FixedRouter(providerOf('rogue', rogue), providerOf('holder', holder));
    await using node = await startMirror({ router });
    await (await open(node, 0)).body?.cancel();
    const rest = await open(node, CHUNK);
    assert.ok((await bytesOf(rest)).equals(blob.subarray(CHUNK)));
    assert.ok(broken > 0);
  });
});
