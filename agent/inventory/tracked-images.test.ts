import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../oci/digest.ts';
import { parseReference } from '../oci/reference.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { sha256 } from '../testing/image.ts';
import { sharedParts, TrackedImages } from './tracked-images.ts';
import type { TrackedImage } from './tracked-images.ts';

const [root, layer, other] = ['root', 'layer', 'other'].map((text) => sha256(Buffer.from(text)));
assert.ok(root && layer && other);

function image(name: string, init: Partial<TrackedImage> = {}): TrackedImage {
  const manifests = new Set([root]);
  const tree = {
    digests: new Set([root, layer]),
    manifests,
    missing: new Set<never>(),
    broken: new Map(),
  };
  return {
    ...{
      name,
      registry: 'r.example',
      root,
      tree,
      tagKey: undefined,
      pinnedKeys: [],
      sharesContent: true,
    },
    ...init,
  } as TrackedImage;
}

function tracking(...images: TrackedImage[]): TrackedImages {
  const tracked = new TrackedImages();
  for (const each of images) tracked.replace(each.name, each);
  return tracked;
}

describe('TrackedImages', () => {
  it('knows the images that a blob belongs to, until they are removed or replaced', () => {
    const images = tracking(image('a'), image('b'));
    const names = () => images.ownersOf(layer).map(({ name }) => name);
    assert.deepEqual(names(), ['a', 'b']);
    images.replace('a', undefined);
    assert.deepEqual(names(), ['b']);
    const tree = { ...image('b').tree, digests: new Set([root]) };
    const previous = images.replace('b', image('b', { tree }));
    assert.equal(previous?.name, 'b');
    assert.deepEqual(names(), []);
    assert.equal(images.ownersOf(root).length, 1);
    assert.equal(images.size, 1);
  });

  it('knows the images of a tag, and the names of their records that are not its key', () => {
    const tagKey = 'r.example/a:1';
    const images = tracking(image(tagKey, { tagKey }), image('R.example/a:1', { tagKey }));
    assert.deepEqual(images.recordNames(tagKey), ['R.example/a:1']);
    images.replace(tagKey, undefined);
    assert.equal(images.withKey(tagKey).length, 1);
    images.replace('R.example/a:1', image('R.example/a:1'));
    assert.deepEqual(images.withKey(tagKey), []);
  });

  it('knows what was imported, by tag and by digest with the name', () => {
    const [tagKey, pinnedKey] = ['r.example/a:1', `r.example/a@${root}`];
    const images = tracking(
      image(tagKey, { tagKey, pinnedKeys: [pinnedKey] }),
      image('r.example/b:1'),
    );
    const isImported = (repository: string, content: { tag?: string; digest?: Digest }): boolean =>
      images.isImported({ registry: 'r.example', repository, ...content });
    assert.equal(isImported('a', { tag: '1' }), true);
    assert.equal(isImported('a', { digest: root }), true);
    assert.equal(isImported('a', { tag: '2' }), false);
    assert.equal(isImported('a', { digest: other }), false);
    assert.equal(isImported('b', { tag: '1' }), false);
    assert.equal(isImported('b', { digest: root }), false);
    images.replace(tagKey, image(tagKey, { tagKey }));
    assert.equal(isImported('a', { tag: '1' }), false, 'its tag is shared for another reason');
    assert.equal(isImported('a', { digest: root }), false);
  });

  it('holds a tag by its name, and a digest as a part of an image of the repository', () => {
    const images = tracking(image('r.example/a:1'), image(`r.example/b@${root}`));
    const holds = (repository: string, content: { tag?: string; digest?: Digest }): boolean =>
      images.holds({ registry: 'r.example', repository, ...content });
    assert.equal(holds('a', { tag: '1' }), true);
    assert.equal(holds('a', { tag: '2' }), false);
    assert.equal(holds('b', { tag: '1' }), false);
    for (const repository of ['a', 'b']) {
      assert.equal(holds(repository, { digest: root }), true);
      assert.equal(holds(repository, { digest: layer }), true);
      assert.equal(holds(repository, { digest: other }), false);
    }
    assert.equal(holds('c', { digest: root }), false);
    assert.equal(images.holds({ registry: 's.example', repository: 'a', digest: root }), false);
  });

  it('shares a blob of no image, and one of several images when one of them is shared', () => {
    const images = tracking(image('a', { sharesContent: false }));
    assert.equal(images.isShared(other), true);
    assert.equal(images.isShared(layer), false);
    images.replace('b', image('b'));
    assert.equal(images.isShared(layer), true);
    images.replace('b', undefined);
    assert.equal(images.isShared(layer), false);
    images.replace('a', undefined);
    assert.equal(images.isShared(layer), true);
  });
});

describe('sharedParts', () => {
  it('shares the tag of a name without digest only', () => {
    const partsOf = (name: string) => {
      const reference = parseReference(name);
      assert.ok(reference);
      return sharedParts(
        reference,
        { tree: image(name).tree, isImported: false },
        new SharePolicy(),
      );
    };
    assert.deepEqual(partsOf('r.example/app:1'), {
      registry: 'r.example',
      tagKey: 'r.example/app:1',
      pinnedKeys: [],
      sharesContent: true,
    });
    assert.equal(partsOf(`r.example/app:1@${root}`).tagKey, undefined);
    assert.equal(partsOf(`r.example/app@${root}`).tagKey, undefined);
  });
});
