import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from './manifest.ts';
import { MEDIA_TYPE } from './media-type.ts';

const digest = (byte: string): string => `sha256:${byte.repeat(32)}`;
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const config = { mediaType: MEDIA_TYPE.ociConfig, digest: digest('01'), size: 2 };
const layer = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar',
  digest: digest('02'),
  size: 3,
};

describe('parseManifest', () => {
  it('lists config and layers of an image manifest', () => {
    const manifest = parseManifest(bytes({ config, layers: [layer] }));
    const mediaType = MEDIA_TYPE.ociManifest;
    assert.deepEqual(manifest, { mediaType, isStated: false, children: [config, layer] });
  });

  it("infers Docker's manifest from its config, and OCI's index whatever its entries are", () => {
    const docker = { ...config, mediaType: MEDIA_TYPE.dockerConfig };
    assert.equal(
      parseManifest(bytes({ config: docker, layers: [] })).mediaType,
      MEDIA_TYPE.dockerManifest,
    );
    const entry = { ...layer, mediaType: MEDIA_TYPE.dockerManifest };
    assert.equal(parseManifest(bytes({ manifests: [entry] })).mediaType, MEDIA_TYPE.ociIndex);
    assert.equal(parseManifest(bytes({ manifests: [] })).mediaType, MEDIA_TYPE.ociIndex);
  });

  it('uses a stated type that is a manifest type, and no other', () => {
    const stated = parseManifest(
      bytes({ mediaType: MEDIA_TYPE.dockerManifest, config, layers: [] }),
    );
    assert.deepEqual([stated.mediaType, stated.isStated], [MEDIA_TYPE.dockerManifest, true]);
    const odd = parseManifest(bytes({ mediaType: 'text/html', config, layers: [] }));
    assert.deepEqual([odd.mediaType, odd.isStated], [MEDIA_TYPE.ociManifest, false]);
  });

  it('takes as many descriptors as fit into the largest manifest', () => {
    const layers = Array.from({ length: 5_000 }, () => layer);
    assert.equal(parseManifest(bytes({ config, layers })).children.length, 5_001);
    const small = { digest: digest('01'), size: 0 };
    const manifests = Array.from(
      { length: Math.floor(MAX_MANIFEST_BYTES / (JSON.stringify(small).length + 1)) - 1 },
      () => small,
    );
    const most = bytes({ manifests });
    assert.ok(most.length > MAX_MANIFEST_BYTES - 300);
    assert.equal(parseManifest(most).children.length, manifests.length);
  });

  for (const [why, value] of [
    ['a string', bytes('x')],
    ['no JSON', Buffer.from('{')],
    ['not UTF-8', Buffer.from([0xff, 0xfe])],
    ['an object of another kind', bytes({ a: 1 })],
    ['a bad digest', bytes({ manifests: [{ digest: 'sha256:1', size: 1 }] })],
    ['a negative size', bytes({ manifests: [{ digest: digest('01'), size: -1 }] })],
    ['a descriptor that is no object', bytes({ config, layers: [null] })],
    ['too many bytes', Buffer.alloc(MAX_MANIFEST_BYTES + 1, 0x20)],
  ] as const) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseManifest(value), ManifestError);
    });
  }

  it('throws nothing but ManifestError', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        try {
          parseManifest(Buffer.from(json));
        } catch (error) {
          assert.ok(error instanceof ManifestError);
        }
      }),
    );
  });
});
