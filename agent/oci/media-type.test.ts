import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MANIFEST_ACCEPT, MEDIA_TYPE, isIndexType, isManifestType } from './media-type.ts';

describe('isManifestType', () => {
  it('holds for the four types that a request for a manifest accepts, and for no other', () => {
    const types = MANIFEST_ACCEPT.split(', ');
    assert.equal(types.length, 4);
    for (const type of types) assert.equal(isManifestType(type), true, type);
    for (const type of [MEDIA_TYPE.binary, MEDIA_TYPE.ociConfig, MEDIA_TYPE.dockerConfig, '']) {
      assert.equal(isManifestType(type), false, type);
    }
  });
});

describe('isIndexType', () => {
  it('distinguishes lists of manifests from image manifests', () => {
    const indices = MANIFEST_ACCEPT.split(', ').filter(isIndexType);
    assert.deepEqual(indices, [MEDIA_TYPE.ociIndex, MEDIA_TYPE.dockerList]);
  });
});
