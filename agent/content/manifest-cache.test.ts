import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { digestOf } from '../testing/conformance/content-store.ts';
import type { Digest } from '../oci/digest.ts';
import { ManifestCache } from './manifest-cache.ts';

const TYPE = { mediaType: 'application/vnd.oci.image.manifest.v1+json', isStated: true };

function add(cache: ManifestCache, bytes: Buffer, digest = digestOf(bytes)): Digest {
  cache.add(digest, { ...TYPE, bytes });
  return digest;
}

describe('ManifestCache', () => {
  it('returns a manifest that was added', () => {
    const cache = new ManifestCache();
    const bytes = randomBytes(1000);
    assert.deepEqual(cache.get(add(cache, bytes)), { ...TYPE, bytes });
    assert.equal(cache.get(digestOf(randomBytes(1))), undefined);
  });

  it('does not cache bytes that do not match the digest', () => {
    const cache = new ManifestCache();
    const digest = add(cache, Buffer.from('wrong'), digestOf(Buffer.from('right')));
    assert.equal(cache.get(digest), undefined);
  });

  it('does not cache a manifest of more than 64 KiB', () => {
    const cache = new ManifestCache();
    assert.equal(cache.get(add(cache, randomBytes(65 * 1024))), undefined);
  });

  it('holds 4 MiB, and evicts the least recently used manifest first', () => {
    const cache = new ManifestCache();
    const first = add(cache, randomBytes(64 * 1024));
    const second = add(cache, randomBytes(64 * 1024));
    for (let count = 2; count < 64; count++) add(cache, randomBytes(64 * 1024));
    assert.ok(cache.get(first) !== undefined);
    add(cache, randomBytes(64 * 1024));
    assert.ok(cache.get(first) !== undefined);
    assert.equal(cache.get(second), undefined);
  });
});
