import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { SharePolicy, type SharePolicyInit } from '../../oci/share-policy.ts';
import { makeImage } from '../../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';
import { sendError, TokenRegistry } from '../../testing/token-registry.ts';
import { upstreamTo } from '../../testing/upstream-fixture.ts';

const REGISTRY = 'registry.example';
const REPOSITORY = 'team/app';
const forged = makeImage(1_000);
const forgedBytes = forged.blobs.get(forged.manifest.digest) ?? Buffer.alloc(0);

/** A member that was taken over: it has its own image under every name, and signs what it likes. */
async function takenOver(t: TestContext): Promise<RoguePeer> {
  const peer = await startRogue((socket, request) => {
    const head = {
      'content-length': forgedBytes.length,
      'content-type': forged.manifest.mediaType,
      'docker-content-digest': forged.manifest.digest,
    };
    socket.write(responseHead(200, head));
    if (request.startsWith('GET')) socket.write(forgedBytes);
  });
  t.after(() => peer[Symbol.asyncDispose]());
  return peer;
}

async function start(t: TestContext, init: SharePolicyInit = {}) {
  const registry = await TokenRegistry.start(t, { scheme: 'none' });
  const { source, tags } = await upstreamTo(t, [{ registry: REGISTRY, server: registry.origin }]);
  const liar = await takenOver(t);
  const honest = await startMirror();
  t.after(() => honest[Symbol.asyncDispose]());
  const router = new FixedRouter(
    { peerId: 'liar', origins: [liar.origin] },
    providerOf('honest', honest),
  );
  const node = await startMirror({ router, policy: new SharePolicy(init), upstream: source, tags });
  t.after(() => node[Symbol.asyncDispose]());
  const ask = async (method: string): Promise<{ status: number; digest: string | null }> => {
    const url = `${node.origin}/v2/${REPOSITORY}/manifests/1?ns=${REGISTRY}`;
    const response = await fetch(url, { method });
    await response.arrayBuffer();
    return { status: response.status, digest: response.headers.get('docker-content-digest') };
  };
  const isAway = (): void => {
    registry.faults.registry = (_req, res) => {
      sendError(res, 500, 'UNKNOWN', 'away');
      return true;
    };
  };
  const askedForTag = (): boolean => liar.requests.some((it) => it.includes('/manifests/1'));
  return { registry, honest, ask, isAway, askedForTag };
}

const forgedDigest: Digest = forged.manifest.digest;

describe('a member that was taken over, beside a registry that the node asks', () => {
  it('has no say in what a tag means while the registry answers: it is not even asked', async (t) => {
    const { registry, ask, askedForTag } = await start(t);
    const { digest } = registry.addImage(REPOSITORY, '1', []);
    for (const method of ['HEAD', 'GET']) {
      assert.deepEqual(await ask(method), { status: 200, digest });
    }
    assert.equal(askedForTag(), false);
  });

  it('has none either when the registry says that there is no such image', async (t) => {
    const { ask, askedForTag } = await start(t);
    for (const method of ['HEAD', 'GET']) assert.equal((await ask(method)).status, 404);
    assert.equal(askedForTag(), false);
  });

  it('has none while the registry is away, where another node has what the registry named last', async (t) => {
    const { registry, honest, ask, isAway, askedForTag } = await start(t);
    const { digest, bytes } = registry.addImage(REPOSITORY, '1', []);
    honest.store.putBlob(bytes);
    await ask('HEAD');
    isAway();
    for (const method of ['HEAD', 'GET']) {
      assert.deepEqual(await ask(method), { status: 200, digest });
    }
    assert.equal(askedForTag(), false);
  });

  it('has none in any case with --resolve-tags=false', async (t) => {
    const { ask, isAway, askedForTag } = await start(t, { tags: false });
    isAway();
    for (const method of ['HEAD', 'GET']) assert.equal((await ask(method)).status, 503);
    assert.equal(askedForTag(), false);
  });

  it('is believed, as without a registry, while that is away and has not named the tag to this node: the limit', async (t) => {
    const { ask, isAway } = await start(t);
    isAway();
    assert.deepEqual(await ask('HEAD'), { status: 200, digest: forgedDigest });
  });
});
