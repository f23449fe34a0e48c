import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RestTimes } from './rest-times.ts';
import { UpstreamError } from './upstream-error.ts';
import { UpstreamEndpoints, type UpstreamEndpoint } from './where/upstream-endpoints.ts';

const [hub, other] = ['docker.io', 'ghcr.io'].map(
  (registry) => new UpstreamEndpoints({ names: [undefined] }).of(registry)[0],
) as [UpstreamEndpoint, UpstreamEndpoint];

describe('RestTimes', () => {
  it('leave a registry alone for as long as it asks for, with its words, and by kind of content', () => {
    let now = 0;
    const rests = new RestTimes(() => now);
    rests.check(hub, 'manifest');
    rests.failed(hub, 'manifest', new UpstreamError('limited', 'too many', { retryAfter: 60_000 }));
    now = 59_999;
    assert.throws(
      () => {
        rests.check(hub, 'manifest');
      },
      { reason: 'limited', message: 'too many' },
    );
    rests.check(hub, 'blob');
    rests.check(other, 'manifest');
    now = 60_000;
    rests.check(hub, 'manifest');
  });

  it('are not lengthened by what fails meanwhile because of them', () => {
    let now = 0;
    const rests = new RestTimes(() => now);
    rests.failed(hub, 'blob', new UpstreamError('connect', 'no connection'));
    now = 1_999;
    try {
      rests.check(hub, 'blob');
      assert.fail('not left alone');
    } catch (error) {
      assert.ok(error instanceof UpstreamError);
      rests.failed(hub, 'blob', error);
    }
    now = 2_000;
    rests.check(hub, 'manifest');
  });

  it('are for all content of one that cannot be reached, and of one that is away for a time', () => {
    const rests = new RestTimes(() => 0);
    rests.failed(hub, 'blob', new UpstreamError('connect', 'down'));
    rests.failed(other, 'blob', new UpstreamError('status', '503', { retryAfter: 1_000 }));
    for (const endpoint of [hub, other]) {
      assert.throws(() => {
        rests.check(endpoint, 'manifest');
      }, UpstreamError);
    }
  });

  it('begin with no other failure', () => {
    const rests = new RestTimes(() => 0);
    for (const reason of ['not-found', 'denied', 'status', 'timeout', 'digest', 'body'] as const) {
      rests.failed(hub, 'blob', new UpstreamError(reason, reason));
    }
    rests.check(hub, 'blob');
  });
});
