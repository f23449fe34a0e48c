import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MEDIA_TYPE } from '../oci/media-type.ts';
import { sha256 } from '../testing/image.ts';
import type { WholeContent } from './content-source.ts';
import { WaitingManifests } from './waiting-manifests.ts';

function manifest(bytes: Buffer): WholeContent {
  const descriptor = { mediaType: MEDIA_TYPE.ociIndex, digest: sha256(bytes), size: bytes.length };
  return { kind: 'whole', descriptor, origin: 'http://registry', bytes };
}

describe('WaitingManifests', () => {
  it('give each manifest once, by its digest', () => {
    const waiting = new WaitingManifests();
    const [one, other] = [manifest(Buffer.from('{}')), manifest(Buffer.from('{"a":1}'))];
    waiting.add(one);
    assert.equal(waiting.take(other.descriptor.digest), undefined);
    assert.equal(waiting.take(undefined), undefined);
    assert.equal(waiting.take(one.descriptor.digest), one);
    assert.equal(waiting.take(one.descriptor.digest), undefined);
  });

  it('give one that is for a name to that name only', () => {
    const waiting = new WaitingManifests();
    const one = manifest(Buffer.from('{}'));
    const { digest } = one.descriptor;
    waiting.add(one, 'registry.example/team/app');
    assert.equal(waiting.take(digest), undefined);
    assert.equal(waiting.take(digest, 'other.example/team/app'), undefined);
    assert.equal(waiting.take(digest, 'registry.example/team/app'), one);
  });

  it('are bounded by their bytes: the oldest one goes first', () => {
    const waiting = new WaitingManifests();
    const all = [0, 1, 2, 3, 4].map((fill) => manifest(Buffer.alloc(4 << 20, fill)));
    for (const each of all) waiting.add(each);
    const kept = all.filter(({ descriptor }) => waiting.take(descriptor.digest) !== undefined);
    assert.deepEqual(kept, all.slice(2));
  });

  it('forget what is taken back', () => {
    const waiting = new WaitingManifests();
    const one = manifest(Buffer.from('{}'));
    const { digest } = one.descriptor;
    waiting.add(one);
    waiting.delete(digest);
    assert.equal(waiting.take(digest), undefined);
    waiting.add(one);
    waiting.clear();
    assert.equal(waiting.take(digest), undefined);
  });
});
