import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import { makeImage } from '../../testing/image.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { KnownSizes } from './known-sizes.ts';
import { SizeClaims } from './size-claims.ts';

const image = makeImage(100);
const [digest] = image.layers as [Digest];
const request: ContentRequest = {
  ...{ kind: 'blob', method: 'GET', digest },
  ...{ registry: 'registry.example', repository: 'team/app' },
};

function descriptor(size: number): { mediaType: string; digest: Digest; size: number } {
  return { mediaType: 'x/y', digest, size };
}

function answer(size: number): PeerResponse {
  const range = { start: 0, end: size - 1 };
  const body = Readable.from([]);
  return { descriptor: descriptor(size), range, body, origin: 'http://peer' } as PeerResponse;
}

function peer(peerId: string): { peerId: string; origins: string[] } {
  return { peerId, origins: [] };
}

/** The sizes after a manifest has named this one for the blob. */
function sizesWith(size: number): KnownSizes {
  const sizes = new KnownSizes();
  sizes.note(request, [{ digest, size }]);
  return sizes;
}

describe('SizeClaims', () => {
  it('refuses another size than the manifest names, and destroys the body', () => {
    const claims = new SizeClaims(request, sizesWith(100));
    claims.check(peer('a'), 'GET', answer(100));
    const wrong = answer(99);
    assert.throws(() => {
      claims.check(peer('b'), 'GET', wrong);
    }, /another size than in the manifest/);
    assert.ok(wrong.body.destroyed);
  });

  it('forgets a size that kept holders out, and does not apply it again', () => {
    const sizes = sizesWith(123);
    const claims = new SizeClaims(request, sizes);
    assert.deepEqual(claims.dropHint(), [], 'nothing was kept out');
    assert.equal(sizes.of(request, digest), 123);
    assert.throws(() => {
      claims.check(peer('a'), 'GET', answer(100));
    });
    assert.deepEqual(claims.dropHint(), ['a']);
    assert.equal(sizes.of(request, digest), undefined);
    assert.deepEqual(claims.dropHint(), []);
    sizes.note(request, [{ digest, size: 100 }]);
    claims.check(peer('a'), 'GET', answer(99));
  });

  it('does not compare once the size is settled', () => {
    const claims = new SizeClaims(request, sizesWith(123));
    claims.settle();
    claims.check(peer('a'), 'GET', answer(100));
  });

  it('names once the peers whose answers to HEAD contradict the verified size', () => {
    const claims = new SizeClaims(request, new KnownSizes());
    claims.check(peer('honest'), 'HEAD', answer(100));
    claims.check(peer('liar'), 'HEAD', answer(396));
    claims.check(peer('failed'), 'HEAD', answer(397));
    claims.dismiss(peer('failed'));
    claims.check(peer('other'), 'GET', answer(50));
    assert.deepEqual(claims.contradicting(descriptor(100)), [peer('liar')]);
    assert.deepEqual(claims.contradicting(descriptor(100)), []);
  });
});
