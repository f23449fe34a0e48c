import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { makeImage } from '../../testing/image.ts';
import { parsePeerManifest } from './peer-manifest.ts';

const image = makeImage(1000);
const bytes = image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0);

describe('parsePeerManifest', () => {
  it('gives what the manifest refers to', () => {
    const manifest = parsePeerManifest(bytes, image.manifest);
    const digests = manifest?.children.map(({ digest }) => digest);
    assert.deepEqual(digests, [image.config, ...image.layers]);
  });

  it('refuses an image manifest that is stated to be an index, and the other way round', () => {
    const index = Buffer.from(JSON.stringify({ manifests: [image.manifest] }));
    for (const [content, mediaType] of [
      [bytes, MEDIA_TYPE.ociIndex],
      [index, MEDIA_TYPE.ociManifest],
    ] as const) {
      assert.throws(() => parsePeerManifest(content, { mediaType }), { reason: 'protocol' });
    }
  });

  it('leaves to the client what it cannot parse', () => {
    assert.equal(parsePeerManifest(Buffer.from('no manifest'), image.manifest), undefined);
  });
});
