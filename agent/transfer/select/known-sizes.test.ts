import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { makeImage } from '../../testing/image.ts';
import { KnownSizes } from './known-sizes.ts';

const { digest } = makeImage(1).manifest;
const scope = { registry: 'registry.example', repository: 'team/app' };

describe('KnownSizes', () => {
  it('knows the sizes that a manifest names', () => {
    const sizes = new KnownSizes();
    assert.equal(sizes.of(scope, digest), undefined);
    sizes.note(scope, [{ digest, size: 1000 }]);
    assert.equal(sizes.of(scope, digest), 1000);
  });

  it('knows them for the repository of the manifest alone, until they are forgotten', () => {
    const sizes = new KnownSizes();
    sizes.note(scope, [{ digest, size: 1000 }]);
    sizes.note({ ...scope, repository: 'evil/app' }, [{ digest, size: 123 }]);
    assert.equal(sizes.of(scope, digest), 1000);
    assert.equal(sizes.of({ ...scope, repository: 'evil/app' }, digest), 123);
    assert.equal(sizes.of({ ...scope, registry: 'other.example' }, digest), undefined);
    sizes.forget(scope, digest);
    assert.equal(sizes.of(scope, digest), undefined);
  });

  it('does not know a size about which two manifests of a repository contradict each other', () => {
    const sizes = new KnownSizes();
    for (const size of [1000, 1000, 123]) sizes.note(scope, [{ digest, size }]);
    assert.equal(sizes.of(scope, digest), undefined);
  });

  it('forgets the digest that was named longest ago', () => {
    const sizes = new KnownSizes();
    sizes.note(scope, [{ digest, size: 1000 }]);
    for (let round = 0; round < 11; round++) {
      const layers = Array.from({ length: 1000 }, (_, index) => ({
        digest: `sha256:${String(round * 1000 + index).padStart(64, '0')}` as Digest,
        size: index,
      }));
      sizes.note(scope, layers);
    }
    assert.equal(sizes.of(scope, digest), undefined);
  });
});
