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
  it('holds for the types that list manifests, and for no other', () => {
    for (const type of Object.values(MEDIA_TYPE)) {
      const expected = type === MEDIA_TYPE.ociIndex || type === MEDIA_TYPE.dockerList;
      assert.equal(isIndexType(type), expected, type);
    }
  });
});
