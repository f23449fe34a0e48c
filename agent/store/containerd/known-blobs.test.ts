import assert from 'node:assert/strict';
import { it } from 'node:test';

import { digestOf } from '../../testing/conformance/content-store.ts';
import { KnownBlobs } from './known-blobs.ts';
import { publishesContentEvents } from './version.ts';

const [A, B, C] = ['a', 'b', 'c'].map((text) => digestOf(Buffer.from(text)));
assert.ok(A !== undefined && B !== undefined && C !== undefined);

it('KnownBlobs: the entry confirmed longest ago makes way', () => {
  const known = new KnownBlobs(2);
  known.add(A, 1);
  known.add(B, 2);
  known.add(A, 1);
  known.add(C, 3);
  assert.deepEqual([known.size(A), known.size(B), known.size(C)], [1, undefined, 3]);
});

it('KnownBlobs: a complete listing forgets what it did not list, but nothing newer', () => {
  const known = new KnownBlobs(10);
  known.add(A, 1);
  known.add(B, 2);
  const listing = known.beginListing();
  known.add(B, 2);
  known.add(C, 3);
  listing.complete();
  assert.deepEqual([known.size(A), known.size(B), known.size(C)], [undefined, 2, 3]);
});

it('KnownBlobs: an earlier listing that ends later forgets nothing that a later one confirmed', () => {
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

it('tellsNewBlobs: from containerd 2.1', () => {
  for (const version of ['v2.1.9', '2.1.0+unknown', '2.10.0', '3.0.0', 'v2.1.9-k3s1']) {
    assert.ok(publishesContentEvents(version), version);
  }
  for (const version of ['1.6.20~ds1', 'v1.7.24', 'v2.0.11', '1.10.0', 'devel', '']) {
    assert.ok(!publishesContentEvents(version), version);
  }
});
