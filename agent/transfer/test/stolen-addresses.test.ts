import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { namedByOthers } from '../../routing/lookup/named-provider.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

const NAME = 'registry.example/team/app:1';
const image = makeImage(1_000, 2_000, 3_000, 4_000, 5_000);

/** A peer that answers each request with wrong bytes of the right length. */
function liar(): Promise<RoguePeer> {
  return startRogue((socket, request) => {
    const digest = /blobs\/(\S+?)(?:\?| )/.exec(request)?.[1] as Digest;
    const { length } = image.blobs.get(digest) ?? Buffer.alloc(0);
    socket.write(responseHead(200, { 'content-length': length, 'docker-content-digest': digest }));
    if (request.startsWith('GET')) socket.write(Buffer.alloc(length, 7));
  });
}

async function holder(): Promise<MirrorNode> {
  const node = await startMirror();
  putImage(node.store, image, NAME);
  return node;
}

async function statuses(node: MirrorNode): Promise<number[]> {
  const all: number[] = [];
  for (const digest of image.layers) {
    const url = `${node.origin}/v2/team/app/blobs/${digest}?ns=registry.example`;
    const response = await fetch(url);
    const bytes = Buffer.from(await response.arrayBuffer());
    all.push(response.status);
    if (response.status === 200) assert.deepEqual(bytes, image.blobs.get(digest));
  }
  return all;
}

async function blamed({ metrics }: MirrorNode): Promise<readonly string[]> {
  const { values } = await metrics.digestMismatches.get();
  return values.map(({ labels }) => String(labels.peer));
}

describe('a member that lies about addresses', () => {
  it("cannot have an honest node blocked by naming its own registry as that node's", async () => {
    await using honest = await holder();
    await using wrong = await liar();
    const real = providerOf('honest', honest);
    const claim = namedByOthers({ peerId: 'honest', origins: [wrong.origin] });
    // The claim first: each layer is asked of it until it is blocked.
    await using node = await startMirror({ router: new FixedRouter(claim, real) });
    assert.deepEqual(
      await statuses(node),
      image.layers.map(() => 200),
    );
    const names = await blamed(node);
    assert.ok(names.length > 0);
    assert.ok(!names.includes('honest'), names.join());
  });

  it('gains nothing by announcing the address of an honest node as its own: that node answers right', async () => {
    await using honest = await holder();
    const stolen = { peerId: 'liar', origins: [honest.origin] };
    await using node = await startMirror({ router: new FixedRouter(stolen) });
    assert.deepEqual(
      await statuses(node),
      image.layers.map(() => 200),
    );
    assert.deepEqual(await blamed(node), []);
  });
});
