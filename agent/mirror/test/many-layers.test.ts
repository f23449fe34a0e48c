import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { makeImage, putImage, sha256 } from '../../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';

const LAYERS = 5_000;
const query = '?ns=registry.example';

describe('An image of 5,000 layers', () => {
  it('is served by its holder, and to other nodes, by tag and by digest', async () => {
    await using holder = await startMirror();
    const image = makeImage(...Array.from({ length: LAYERS }, () => 8));
    putImage(holder.store, image, 'registry.example/team/app:1');
    const router = new FixedRouter(providerOf('holder', holder));
    await using other = await startMirror({ router });
    const { digest, size } = image.manifest;
    assert.ok(size > 512 * 1024);
    for (const { origin } of [holder, other]) {
      for (const reference of ['1', digest]) {
        const url = `${origin}/v2/team/app/manifests/${reference}${query}`;
        const head = await fetch(url, { method: 'HEAD' });
        assert.equal(head.status, 200, `${origin} ${reference}`);
        assert.equal(head.headers.get('content-length'), String(size));
        const manifest = await fetch(url);
        assert.equal(manifest.status, 200);
        assert.equal(sha256(Buffer.from(await manifest.arrayBuffer())), digest);
      }
      const layer = image.layers.at(-1) ?? '';
      const blob = await fetch(`${origin}/v2/team/app/blobs/${layer}${query}`);
      assert.equal(blob.status, 200);
      assert.equal(sha256(Buffer.from(await blob.arrayBuffer())), layer);
    }
  });
});
