import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';

const NAME = 'registry.example/team/app:1';
const [genuine, forged] = [makeImage(1_000), makeImage(2_000)];
const manifestOf = ({ manifest, blobs }: typeof genuine): Buffer =>
  blobs.get(manifest.digest) ?? Buffer.alloc(0);

/** Answers each request with these bytes as the manifest of this digest. */
function naming(digest: Digest, bytes: Buffer): Promise<RoguePeer> {
  return startRogue((socket, request) => {
    const head = {
      'content-length': bytes.length,
      'content-type': genuine.manifest.mediaType,
      'docker-content-digest': digest,
    };
    socket.write(responseHead(200, head));
    if (request.startsWith('GET')) socket.write(bytes);
  });
}

async function holder(): Promise<MirrorNode> {
  const node = await startMirror();
  putImage(node.store, genuine, NAME);
  return node;
}

async function resolve(node: MirrorNode): Promise<{ digest: string | null; bytes: Buffer }> {
  const response = await fetch(`${node.origin}/v2/team/app/manifests/1?ns=registry.example`);
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, 200);
  return { digest: response.headers.get('docker-content-digest'), bytes };
}

describe('a member that places a tag for an image that it does not have', () => {
  it('is not believed when its bytes are others than the digest that it names: the next holder answers', async () => {
    await using honest = await holder();
    await using liar = await naming(genuine.manifest.digest, manifestOf(forged));
    const router = new FixedRouter(
      { peerId: 'liar', origins: [liar.origin] },
      providerOf('honest', honest),
    );
    await using node = await startMirror({ router });
    const { digest, bytes } = await resolve(node);
    assert.equal(digest, genuine.manifest.digest);
    assert.deepEqual(bytes, manifestOf(genuine));
    assert.ok(liar.requests.length > 0);
  });

  it('is believed about an image of its own, which is the limit of tags, and other holders show it', async () => {
    await using honest = await holder();
    await using liar = await naming(forged.manifest.digest, manifestOf(forged));
    const router = new FixedRouter(
      { peerId: 'liar', origins: [liar.origin] },
      providerOf('honest', honest),
    );
    await using node = await startMirror({ router });
    const { digest } = await resolve(node);
    assert.ok(digest === forged.manifest.digest || digest === genuine.manifest.digest);
    await eventually(async () => {
      const { values } = await node.metrics.tagDisagreements.get();
      assert.equal(values[0]?.value, 1);
    });
  });
});
