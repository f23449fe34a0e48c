import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { makeImage } from '../../testing/image.ts';
import { KnownSizes } from './known-sizes.ts';

const scope = { registry: 'registry.example', repository: 'team/app' };

function manifestOf(...children: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ manifests: children }));
}

describe('KnownSizes', () => {
  it('knows the sizes that a manifest names, and ignores bytes that are no manifest', () => {
    const sizes = new KnownSizes();
    const image = makeImage(1000);
    const [layer] = image.layers as [Digest];
    const manifest = image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0);
    assert.equal(sizes.of(scope, layer), undefined);
    sizes.note(scope, manifest);
    sizes.note(scope, Buffer.from('no manifest'));
    assert.equal(sizes.of(scope, layer), 1000);
    assert.equal(sizes.of(scope, image.config), image.blobs.get(image.config)?.length);
  });

  it('knows them for the repository of the manifest alone, until they are forgotten', () => {
    const sizes = new KnownSizes();
    const [digest] = makeImage(1000).layers as [Digest];
    sizes.note(scope, manifestOf({ digest, size: 1000 }));
    sizes.note({ ...scope, repository: 'evil/app' }, manifestOf({ digest, size: 123 }));
    assert.equal(sizes.of(scope, digest), 1000);
    assert.equal(sizes.of({ ...scope, repository: 'evil/app' }, digest), 123);
    assert.equal(sizes.of({ ...scope, registry: 'other.example' }, digest), undefined);
    sizes.forget(scope, digest);
    assert.equal(sizes.of(scope, digest), undefined);
  });

  it('does not know a size about which two manifests of a repository contradict each other', () => {
    const sizes = new KnownSizes();
    const [digest] = makeImage(1000).layers as [Digest];
    for (const size of [1000, 1000, 123]) sizes.note(scope, manifestOf({ digest, size }));
    assert.equal(sizes.of(scope, digest), undefined);
  });

  it('forgets the digest that was named longest ago', () => {
    const sizes = new KnownSizes();
    const first = makeImage(1);
    sizes.note(scope, first.blobs.get(first.manifest.digest) ?? Buffer.alloc(0));
    for (let round = 0; round < 11; round++) {
      const layers = Array.from({ length: 1000 }, (_, index) => ({
        digest: `sha256:${String(round * 1000 + index).padStart(64, '0')}`,
        size: index,
      }));
      sizes.note(scope, manifestOf(...layers));
    }
    assert.equal(sizes.of(scope, first.config), undefined);
  });
});
