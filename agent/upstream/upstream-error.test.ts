import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UpstreamError, type UpstreamFailure } from './upstream-error.ts';

describe('UpstreamError', () => {
  const request = { kind: 'manifest', registry: 'docker.io' } as const;
  for (const [reason, code, status] of [
    ['not-found', 'MANIFEST_UNKNOWN', 404],
    ['denied', 'DENIED', 403],
    ['limited', 'TOOMANYREQUESTS', 503],
    ['range', 'RANGE_INVALID', 416],
    ['connect', 'UNAVAILABLE', 503],
    ['digest', 'UNAVAILABLE', 503],
  ] as const satisfies [UpstreamFailure, string, number][]) {
    it(`of ${reason} is ${code} for a client`, () => {
      const error = new UpstreamError(reason, 'registry-1.docker.io answers 4xx: WHY: because');
      const answer = error.toOciError(request);
      assert.equal(answer.code, code);
      assert.equal(answer.status, status);
      assert.equal(answer.detail, 'docker.io: registry-1.docker.io answers 4xx: WHY: because');
      assert.equal(answer.cause, error);
    });
  }

  it('of a blob that is not there names the blob', () => {
    const error = new UpstreamError('not-found', 'no');
    assert.equal(error.toOciError({ ...request, kind: 'blob' }).code, 'BLOB_UNKNOWN');
    const unsized = new UpstreamError('length', 'no length').toOciError({
      ...request,
      kind: 'blob',
    });
    assert.equal(unsized.status, 404);
  });
});
