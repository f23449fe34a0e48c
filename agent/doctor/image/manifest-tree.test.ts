import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { ManifestError } from '../../oci/manifest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { makeImage, sha256, type TestImage } from '../../testing/image.ts';
import { readImageTree } from './manifest-tree.ts';

const HERE = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
const ELSEWHERE = { os: 'linux', architecture: 's390x' };

/** An index of the images, with their platforms; gives its digest and how to read the blobs of all. */
function indexOf(...entries: readonly [TestImage, object | undefined][]) {
  const manifests = entries.map(([{ manifest }, platform]) => ({ ...manifest, platform }));
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }),
  );
  const root = sha256(bytes);
  const blobs = new Map([[root, bytes], ...entries.flatMap(([{ blobs: each }]) => [...each])]);
  return { root, read: (digest: Digest) => Promise.resolve(blobs.get(digest)) };
}

const readFrom = (image: TestImage) => (digest: Digest) => Promise.resolve(image.blobs.get(digest));

describe('readImageTree', () => {
  it('returns manifest, config and layers, a repeated layer once', async () => {
    const image = makeImage(10, 20);
    const { descriptors, unread } = await readImageTree(image.manifest.digest, readFrom(image));
    assert.deepEqual(
      descriptors.map(({ kind, digest }) => [kind, digest]),
      [
        ['manifest', image.manifest.digest],
        ['config', image.config],
        ...image.layers.map((digest) => ['layer', digest]),
      ],
    );
    assert.deepEqual(unread, []);
    assert.deepEqual(descriptors.map(({ size }) => size).slice(2), [10, 20]);
  });

  it('follows the manifests of an index for this platform only', async () => {
    const [ours, theirs] = [makeImage(10), makeImage(20)];
    const { root, read } = indexOf([theirs, ELSEWHERE], [ours, HERE]);
    const { descriptors, otherPlatforms } = await readImageTree(root, read);
    assert.deepEqual(
      descriptors.map(({ digest }) => digest),
      [root, ours.manifest.digest, ours.config, ...ours.layers],
    );
    assert.equal(otherPlatforms, 1);
  });

  it('follows all manifests of an index when none is for this platform', async () => {
    const { root, read } = indexOf([makeImage(10), ELSEWHERE], [makeImage(20), undefined]);
    const { descriptors, otherPlatforms } = await readImageTree(root, read);
    assert.equal(descriptors.filter(({ kind }) => kind === 'manifest').length, 2);
    assert.equal(otherPlatforms, 0);
  });

  it('names the manifests that cannot be read', async () => {
    const image = makeImage(10);
    const { digest } = image.manifest;
    const nothing = () => Promise.resolve(undefined);
    assert.deepEqual(await readImageTree(digest, nothing), {
      descriptors: [{ kind: 'manifest', digest }],
      otherPlatforms: 0,
      unread: [digest],
    });
    const { root, read } = indexOf([image, HERE]);
    const { unread } = await readImageTree(root, (each) =>
      each === digest ? nothing() : read(each),
    );
    assert.deepEqual(unread, [digest]);
  });

  it('fails for bytes that are no manifest', async () => {
    const { digest } = makeImage(10).manifest;
    await assert.rejects(
      readImageTree(digest, () => Promise.resolve(Buffer.from('nonsense'))),
      ManifestError,
    );
  });
});
