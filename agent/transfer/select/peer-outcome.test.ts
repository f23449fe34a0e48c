import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { PeerFailure } from '../client/peer-error.ts';
import { isDigestOutcome, isFault, isSilence, outcomeOf } from './peer-outcome.ts';

describe('outcomeOf', () => {
  it('maps every failure of a peer to an outcome', () => {
    const outcomes: Record<PeerFailure, ReturnType<typeof outcomeOf>> = {
      connect: 'silent',
      timeout: 'silent',
      body: 'silent',
      tls: 'silent',
      identity: 'silent',
      'not-found': 'lacks',
      range: 'answered',
      busy: 'answered',
      status: 'failed',
      protocol: 'failed',
      digest: 'failed',
    };
    for (const [reason, outcome] of Object.entries(outcomes)) {
      assert.equal(outcomeOf(reason as PeerFailure), outcome, reason);
    }
  });

  it('counts no failure both as silence and as a fault of the peer', () => {
    const reasons = ['connect', 'timeout', 'body', 'tls', 'not-found', 'range', 'status'] as const;
    assert.deepEqual(
      reasons.filter((reason) => isSilence(reason) && isFault(reason)),
      [],
    );
    assert.ok(isFault('range') && !isFault('not-found'));
  });
});

describe('isDigestOutcome', () => {
  it('holds for what concerns the blocklist alone', () => {
    assert.ok(isDigestOutcome({ kind: 'verified' }));
    assert.ok(!isDigestOutcome({ kind: 'late' }));
  });
});
