import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { makeImage } from '../../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

const CHUNK = 6_000_000;
const SIZE = 2 * CHUNK;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const blob = image.blobs.get(digest) ?? Buffer.alloc(0);

/** How the holder treats its first requests for a range that begins behind byte 0. After that it is correct. */
type Behaviour = (socket: Socket, head: string, bytes: Buffer) => void;

function startHolder(...first: readonly Behaviour[]): Promise<RoguePeer> {
  const left = [...first];
  return startRogue((socket, request) => {
    const [, from = '0', to = ''] = /range: bytes=(\d+)-(\d*)/i.exec(request) ?? [];
    const [start, end] = [Number(from), to === '' ? SIZE - 1 : Number(to)];
    const bytes = blob.subarray(start, end + 1);
    const head = responseHead(206, {
      'content-length': bytes.length,
      'content-range': `bytes ${start}-${end}/${SIZE}`,
      'docker-content-digest': digest,
    });
    const behave = start === 0 ? undefined : left.shift();
    if (behave === undefined) socket.write(Buffer.concat([Buffer.from(head), bytes]));
    else behave(socket, head, bytes);
  });
}

const closes: Behaviour = (socket) => socket.destroy();
const isSilent: Behaviour = () => undefined;
const resetsAfter =
  (length: number): Behaviour =>
  (socket, head, bytes) => {
    socket.write(head);
    socket.write(bytes.subarray(0, length), () => socket.resetAndDestroy());
  };

describe('the only holder of a blob', { timeout: 300_000 }, () => {
  for (const [fault, behaviours] of Object.entries<readonly Behaviour[]>({
    'closes the connection': [closes, closes, closes],
    'does not answer for a while': [isSilent, isSilent],
  })) {
    it(`is asked again for a later chunk when it ${fault}`, async () => {
      await using holder = await startHolder(...behaviours);
      const router = new FixedRouter(providerOf('holder', holder));
      await using node = await startMirror({ router, firstByteBudget: 500 });
      const url = `${node.origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
      // As containerd does from 2.1 on. It fails the pull when a chunk other than the first is refused.
      const first = await fetch(url, { headers: { range: 'bytes=0-' } });
      const second = await fetch(url, { headers: { range: `bytes=${CHUNK}-` } });
      assert.equal(second.status, 206);
      assert.ok(Buffer.from(await second.arrayBuffer()).equals(blob.subarray(CHUNK)));
      assert.equal(holder.requests.length, 2 + behaviours.length);
      await first.body?.cancel();
    });
  }

  it('is not asked again for the rest of a blob, which containerd requests from the registry', async () => {
    await using holder = await startHolder(closes);
    await using node = await startMirror({ router: new FixedRouter(providerOf('holder', holder)) });
    const url = `${node.origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
    const response = await fetch(url, { headers: { range: `bytes=${CHUNK}-` } });
    assert.equal(response.status, 404);
    assert.equal(holder.requests.length, 1);
  });

  it('continues a body however often it resets the connection, as long as there is progress', async () => {
    const part = 1_000_000;
    await using holder = await startHolder(
      ...Array.from({ length: 3 }, () => resetsAfter(part)),
      resetsAfter(0),
      resetsAfter(0),
    );
    await using node = await startMirror({ router: new FixedRouter(providerOf('holder', holder)) });
    const url = `${node.origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
    const response = await fetch(url, { headers: { range: 'bytes=1-' } });
    assert.equal(response.status, 206);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(blob.subarray(1)));
  });
});
