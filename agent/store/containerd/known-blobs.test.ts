import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { digestOf } from '../../testing/conformance/content-store.ts';
import { KnownBlobs } from './known-blobs.ts';

const [A, B, C] = ['a', 'b', 'c'].map((text) => digestOf(Buffer.from(text)));
assert.ok(A !== undefined && B !== undefined && C !== undefined);

describe('KnownBlobs', () => {
  it('drops the entry that was confirmed longest ago', () => {
    const known = new KnownBlobs(2);
    known.add(A, 1);
    known.add(B, 2);
    known.add(A, 1);
    known.add(C, 3);
    assert.deepEqual([known.size(A), known.size(B), known.size(C)], [1, undefined, 3]);
  });

  it('forgets what a complete listing did not list, but nothing newer', () => {
    const known = new KnownBlobs(10);
    known.add(A, 1);
    known.add(B, 2);
    const listing = known.beginListing();
    known.add(B, 2);
    known.add(C, 3);
    listing.complete();
    assert.deepEqual([known.size(A), known.size(B), known.size(C)], [undefined, 2, 3]);
  });

  it('keeps what a later listing confirmed when an earlier listing ends after it', () => {
    const known = new KnownBlobs(10);
    const first = known.beginListing();
    known.add(A, 1);
    const second = known.beginListing();
    known.add(A, 1);
    known.add(B, 2);
    first.complete();
    assert.deepEqual([known.size(A), known.size(B)], [1, 2]);
    second.complete();
    assert.deepEqual([known.size(A), known.size(B)], [1, 2]);
  });
});
