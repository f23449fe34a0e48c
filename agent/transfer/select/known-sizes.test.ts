import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { makeImage } from '../../testing/image.ts';
import { KnownSizes } from './known-sizes.ts';

describe('KnownSizes', () => {
  it('knows the sizes that a manifest names, and ignores bytes that are no manifest', () => {
    const sizes = new KnownSizes();
    const image = makeImage(1000);
    const manifest = image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0);
    assert.equal(sizes.of(image.layers[0]), undefined);
    sizes.note(manifest);
    sizes.note(Buffer.from('no manifest'));
    assert.equal(sizes.of(image.layers[0]), 1000);
    assert.equal(sizes.of(image.config), image.blobs.get(image.config)?.length);
    assert.equal(sizes.of(undefined), undefined);
  });

  it('forgets the digest that was named longest ago', () => {
    const sizes = new KnownSizes();
    const first = makeImage(1);
    sizes.note(first.blobs.get(first.manifest.digest) ?? Buffer.alloc(0));
    for (let round = 0; round < 11; round++) {
      const layers = Array.from({ length: 1000 }, (_, index) => ({
        digest: `sha256:${String(round * 1000 + index).padStart(64, '0')}`,
        size: index,
      }));
      sizes.note(Buffer.from(JSON.stringify({ manifests: layers })));
    }
    assert.equal(sizes.of(first.layers[0]), undefined);
  });
});
