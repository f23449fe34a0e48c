import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { ContainerdClient } from '../store/containerd/client.ts';
import { ContainerdServer, type ContainerdServerInit } from '../testing/containerd-server.ts';
import { makeImage } from '../testing/image.ts';
import { findMissingLayers, readManifest } from './missing-layers.ts';

const { signal } = new AbortController();

async function connect(t: TestContext, init: ContainerdServerInit): Promise<ContainerdClient> {
  const server = await ContainerdServer.start(init);
  const { socketPath } = server;
  const client = new ContainerdClient({ socketPath, namespace: 'k8s.io', callTimeout: 2_000 });
  t.after(() => {
    client[Symbol.dispose]();
    server[Symbol.dispose]();
  });
  return client;
}

describe('findMissingLayers', () => {
  it('names the images that have lost layers, once for each name', async (t) => {
    const [whole, broken] = [makeImage(10), makeImage(10, 20, 30)];
    const names = {
      'a.example/whole:1': whole,
      'a.example/one:1': broken,
      'a.example/two:1': broken,
    };
    const client = await connect(t, {
      images: { 'k8s.io': names },
      gone: broken.layers.slice(1),
    });
    const { all, checked, missing } = await findMissingLayers(client, signal);
    assert.deepEqual([all, checked], [3, 3]);
    assert.deepEqual(missing.toSorted(), [
      'a.example/one:1: 2 of 3 layers are gone',
      'a.example/two:1: 2 of 3 layers are gone',
    ]);
  });

  it('ignores images that were never unpacked, and the aliases of the CRI', async (t) => {
    const [bare, alias] = [makeImage(10), makeImage(20)];
    const client = await connect(t, {
      images: { 'k8s.io': { 'a.example/bare:1': bare, [`sha256:${'a'.repeat(64)}`]: alias } },
      gone: [bare.config, ...bare.layers, ...alias.layers],
    });
    const { all, missing } = await findMissingLayers(client, signal);
    assert.deepEqual([all, missing], [1, []]);
  });
});

describe('readManifest', () => {
  it('returns the bytes of a manifest, and undefined for a missing one', async (t) => {
    const image = makeImage(10);
    const client = await connect(t, { images: { 'k8s.io': { 'a.example/app:1': image } } });
    const { digest } = image.manifest;
    assert.deepEqual(await readManifest(client, digest, signal), image.blobs.get(digest));
    assert.equal(await readManifest(client, makeImage(1).manifest.digest, signal), undefined);
  });
});
