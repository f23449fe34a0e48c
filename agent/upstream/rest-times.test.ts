import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RestTimes } from './rest-times.ts';
import { UpstreamError } from './upstream-error.ts';
import { UpstreamEndpoints, type UpstreamEndpoint } from './where/upstream-endpoints.ts';

const [hub, other] = ['docker.io', 'ghcr.io'].map(
  (registry) => new UpstreamEndpoints({ names: [undefined] }).of(registry)[0],
) as [UpstreamEndpoint, UpstreamEndpoint];

const MANIFEST = { kind: 'manifest', method: 'GET' } as const;
const HEAD = { kind: 'manifest', method: 'HEAD' } as const;
const BLOB = { kind: 'blob', method: 'GET' } as const;

describe('RestTimes', () => {
  it('leave a registry alone for as long as it asks for, with its words, and by kind of content', () => {
    let now = 0;
    const rests = new RestTimes(() => now);
    rests.check(hub, MANIFEST);
    rests.failed(hub, MANIFEST, new UpstreamError('limited', 'too many', { retryAfter: 60_000 }));
    now = 59_999;
    assert.throws(
      () => {
        rests.check(hub, MANIFEST);
      },
      { reason: 'limited', message: 'too many' },
    );
    rests.check(hub, BLOB);
    rests.check(other, MANIFEST);
    now = 60_000;
    rests.check(hub, MANIFEST);
  });

  it('are not lengthened by what fails meanwhile because of them', () => {
    let now = 0;
    const rests = new RestTimes(() => now);
    rests.failed(hub, BLOB, new UpstreamError('connect', 'no connection'));
    now = 1_999;
    try {
      rests.check(hub, BLOB);
      assert.fail('not left alone');
    } catch (error) {
      assert.ok(error instanceof UpstreamError);
      rests.failed(hub, BLOB, error);
    }
    now = 2_000;
    rests.check(hub, MANIFEST);
  });

  it('are for all content of one that cannot be reached, and of one that is away for a time', () => {
    const rests = new RestTimes(() => 0);
    rests.failed(hub, BLOB, new UpstreamError('connect', 'down'));
    rests.failed(other, BLOB, new UpstreamError('status', '503', { retryAfter: 1_000 }));
    for (const endpoint of [hub, other]) {
      assert.throws(() => {
        rests.check(endpoint, MANIFEST);
      }, UpstreamError);
    }
  });

  it('begin with no other failure', () => {
    const rests = new RestTimes(() => 0);
    for (const reason of ['not-found', 'denied', 'status', 'timeout', 'digest', 'body'] as const) {
      rests.failed(hub, BLOB, new UpstreamError(reason, reason));
    }
    rests.check(hub, BLOB);
  });

  it('on GETs are none on HEADs, and the other way round they are', () => {
    const rests = new RestTimes(() => 0);
    const limited = new UpstreamError('limited', 'too many');
    rests.failed(hub, MANIFEST, limited);
    rests.check(hub, HEAD);
    rests.failed(other, HEAD, limited);
    assert.throws(() => {
      rests.check(other, MANIFEST);
    }, UpstreamError);
  });

  it('have a node leave fetching to others while a registry limits it, or allows no further pull', () => {
    let now = 0;
    const rests = new RestTimes(() => now);
    assert.equal(rests.isSpent(hub, MANIFEST), false);
    rests.failed(hub, MANIFEST, new UpstreamError('limited', 'too many', { retryAfter: 5_000 }));
    assert.deepEqual(
      [MANIFEST, HEAD, BLOB].map((asked) => rests.isSpent(hub, asked)),
      [true, false, false],
    );
    rests.remaining(other, '', 0);
    assert.deepEqual(
      [MANIFEST, HEAD, BLOB].map((asked) => rests.isSpent(other, asked)),
      [true, false, false],
    );
    rests.check(other, MANIFEST);
    rests.remaining(other, '', 1);
    assert.equal(rests.isSpent(other, MANIFEST), false);
    rests.remaining(other, '', 0);
    now = 60_000;
    assert.deepEqual(
      [rests.isSpent(hub, MANIFEST), rests.isSpent(other, MANIFEST)],
      [false, false],
    );
  });

  it('on one login are none on another, or on requests without one', () => {
    const rests = new RestTimes(() => 0);
    const [team, other] = [
      { ...MANIFEST, login: 'team' },
      { ...MANIFEST, login: 'other' },
    ];
    rests.failed(hub, team, new UpstreamError('limited', 'too many', { retryAfter: 60_000 }));
    rests.remaining(hub, 'team', 0);
    assert.deepEqual(
      [team, other, MANIFEST].map((it) => rests.isSpent(hub, it)),
      [true, false, false],
    );
    rests.remaining(hub, 'other', 0);
    assert.deepEqual(
      [team, other, MANIFEST].map((it) => rests.isSpent(hub, it)),
      [true, true, false],
    );
    rests.failed(hub, team, new UpstreamError('connect', 'down'));
    for (const asked of [team, other, MANIFEST]) {
      assert.throws(() => {
        rests.check(hub, asked);
      });
    }
  });
});
