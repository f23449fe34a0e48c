import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  contentKey,
  contentPath,
  pinned,
  rangeOf,
  wholeOf,
  type ContentRequest,
} from './content-request.ts';
import { parseDigest } from './digest.ts';

const digest = parseDigest(`sha256:${'ab'.repeat(32)}`);
assert.ok(digest !== undefined);
const TAG: ContentRequest = {
  ...{ kind: 'manifest', method: 'GET', registry: 'registry.example:5000' },
  ...{ repository: 'team/app', tag: '1.0' },
};
const BLOB: ContentRequest = {
  ...{ kind: 'blob', method: 'GET', registry: '', repository: 'team/app', digest },
  range: { kind: 'from', start: 5 },
};

describe('contentKey', () => {
  it('is the digest, or the full name of the tag', () => {
    assert.equal(contentKey(BLOB), digest);
    assert.equal(contentKey(TAG), 'registry.example:5000/team/app:1.0');
  });
});

describe('contentPath', () => {
  it('names the registry in the query, and leaves that out when it is not known', () => {
    assert.equal(contentPath(TAG), '/v2/team/app/manifests/1.0?ns=registry.example%3A5000');
    assert.equal(contentPath(BLOB), `/v2/team/app/blobs/${digest}`);
  });
});

describe('rangeOf', () => {
  it('is the range that the request names, all of the content, or no byte', () => {
    assert.deepEqual(rangeOf(BLOB, { size: 10 }), { start: 5, end: 9 });
    assert.deepEqual(rangeOf(TAG, { size: 10 }), { start: 0, end: 9 });
    assert.deepEqual(rangeOf(BLOB, { size: 5 }), { start: 0, end: -1 });
    assert.deepEqual(rangeOf(TAG, { size: 0 }), { start: 0, end: -1 });
  });
});

describe('wholeOf', () => {
  it('is the same request without its range', () => {
    assert.equal(wholeOf(BLOB).range, undefined);
    assert.equal(wholeOf(BLOB).digest, digest);
    assert.equal(wholeOf(TAG), TAG);
  });
});

describe('pinned', () => {
  it('is the same request by digest, without the tag', () => {
    const { tag, ...rest } = TAG;
    assert.equal(tag, '1.0');
    assert.deepEqual(pinned(TAG, digest), { ...rest, digest });
    assert.equal(pinned(BLOB, digest), BLOB);
  });
});
