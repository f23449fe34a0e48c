import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

/** Bytes of a blob that is hashed in passing, and of one that a thread hashes beside. */
const SIZES = [5_000_000, 34_000_000] as const;
const image = makeImage(...SIZES.flatMap((size) => [size, size]));

/** Serves the blobs of the image, whole or from an offset on. */
function answer(socket: Socket, request: string, isWrong: boolean): void {
  const digest = /blobs\/(\S+?)(?:\?| )/.exec(request)?.[1] as Digest;
  const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
  const size = bytes.length;
  const start = Number(/range: bytes=(\d+)-/i.exec(request)?.[1] ?? 0);
  const head = {
    'content-length': size - start,
    'docker-content-digest': digest,
    ...(start > 0 && { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
  };
  socket.write(responseHead(start > 0 ? 206 : 200, head));
  if (!request.startsWith('GET')) return;
  if (isWrong) socket.end(Buffer.alloc(size / 2));
  else socket.write(bytes.subarray(start));
}

/**
 * Sends the first half of each blob wrong, breaks off, and has others send the rest. It behaves when it is asked for the
 * blob again.
 */
function startLiar(): Promise<RoguePeer> {
  const lied = new Set<string>();
  return startRogue((socket, request) => {
    const [path = ''] = /blobs\/\S+/.exec(request) ?? [];
    const isWrong = request.startsWith('GET') && !lied.has(path);
    if (isWrong) lied.add(path);
    if (/^range:/im.test(request)) socket.write(responseHead(404, { 'content-length': 0 }));
    else answer(socket, request, isWrong);
  });
}

function read({ origin }: MirrorNode, digest: Digest): Promise<ArrayBuffer> {
  const url = `${origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
  return fetch(url).then((response) => response.arrayBuffer());
}

async function mismatches({ metrics }: MirrorNode): Promise<unknown> {
  const { values } = await metrics.digestMismatches.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.peer, value]));
}

describe('a peer that sends wrong bytes, and behaves when it is asked again', () => {
  const found = 'is found at its second wrong blob, when the client is not the one of the store';
  for (const [index, size] of SIZES.entries()) {
    it(`${found}: ${size} bytes`, async () => {
      const [first, second] = image.layers.slice(2 * index) as [Digest, Digest];
      await using liar = await startLiar();
      await using honest = await startRogue((socket, request) => {
        answer(socket, request, false);
      });
      const router = new FixedRouter(providerOf('liar', liar), providerOf('honest', honest));
      await using node = await startMirror({ router });
      const whole = (peer: RoguePeer, digest: Digest): number =>
        peer.requests.filter(
          (it) => it.startsWith('GET') && it.includes(digest) && !/^range:/im.test(it),
        ).length;

      await assert.rejects(read(node, first));
      // Both are re-verified, and both send the right bytes.
      await eventually(() => {
        assert.ok(whole(liar, first) === 2 && whole(honest, first) === 1);
      });
      assert.deepEqual(await mismatches(node), {});
      await eventually(async () => {
        const body = Buffer.from(await read(node, first));
        assert.ok(body.equals(image.blobs.get(first) ?? Buffer.alloc(0)));
      });

      await assert.rejects(read(node, second));
      await eventually(async () => {
        assert.deepEqual(await mismatches(node), { liar: 1 });
      });
      const body = Buffer.from(await read(node, second));
      assert.ok(body.equals(image.blobs.get(second) ?? Buffer.alloc(0)));
    });
  }
});
