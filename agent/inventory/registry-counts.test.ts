import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sha256 } from '../testing/image.ts';
import { countByRegistry } from './registry-counts.ts';
import { TrackedImages } from './tracked-images.ts';

const [root, layer, other] = ['root', 'layer', 'other'].map((text) => sha256(Buffer.from(text)));
assert.ok(root && layer && other);

/** Two tagged images with the same content. */
function twins(tagKeyOf = (name: string) => `tag ${name}`): TrackedImages {
  const images = new TrackedImages();
  const tree = { digests: new Set([root, layer]), missing: new Set<never>(), broken: new Map() };
  for (const name of ['a', 'b']) {
    const tagKey = tagKeyOf(name);
    const registry = 'r.example';
    const keys = { tagKey, pinnedKeys: [] };
    images.replace(name, { name, registry, root, tree, ...keys, sharesContent: true } as never);
  }
  return images;
}

describe('countByRegistry', () => {
  it('counts advertised tags, roots and digests, and each root once', () => {
    const counts = countByRegistry(twins(), [root, layer, other], (key) => key !== 'tag b');
    assert.deepEqual(Object.fromEntries(counts), {
      'r.example': { tags: 1, images: 1, content: 2 },
      '': { tags: 0, images: 0, content: 1 },
    });
    assert.equal(countByRegistry(twins(), [root], () => false).size, 0);
  });

  it('counts a tag once that two image records have', () => {
    const counts = countByRegistry(
      twins(() => 'tag'),
      [],
      () => true,
    );
    assert.deepEqual(counts.get('r.example'), { tags: 1, images: 1, content: 0 });
  });
});
