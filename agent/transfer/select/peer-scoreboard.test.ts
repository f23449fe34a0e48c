import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import type { Provider } from '../../routing/router.ts';
import { quiet } from '../../testing/quiet.ts';
import type { PeerReport } from '../client/peer-report.ts';
import type { PeerOutcome } from './peer-outcome.ts';
import { PeerScoreboard } from './peer-scoreboard.ts';

const provider = (peerId: string): Provider => ({ peerId, origins: [`http://${peerId}:5000`] });
const report = (fields: Partial<PeerReport>): PeerReport => ({
  alternatives: [],
  retryLater: false,
  ...fields,
});

function makeScoreboard() {
  const clock = { now: 0 };
  const scoreboard = new PeerScoreboard(
    { metrics: createMetrics(), logger: quiet },
    { zone: 'here', now: () => clock.now, random: () => 0 },
  );
  return {
    scoreboard,
    clock,
    record: (peerId: string, outcome: PeerOutcome, key = 'key'): void => {
      scoreboard.record(provider(peerId), key, outcome);
    },
    rank: (...peerIds: string[]): string[] =>
      Array.from(scoreboard.rank(peerIds.map(provider), 'key'), ({ peerId }) => peerId),
  };
}

describe('PeerScoreboard', () => {
  it('ranks the near before the unknown, the far, the busy and the doubtful, and leaves out the blocked', () => {
    const { record, rank } = makeScoreboard();
    record('far', { kind: 'answered', report: report({ zone: 'there' }) });
    record('near', { kind: 'answered', report: report({ zone: 'here' }) });
    record('busy', { kind: 'busy', report: report({ zone: 'here' }) });
    record('silent', { kind: 'silent' });
    record('wrong', { kind: 'digest-mismatch', noticed: 'held-back' });
    assert.deepEqual(rank('wrong', 'silent', 'busy', 'far', 'unknown', 'near'), [
      ...['near', 'unknown', 'far', 'busy', 'silent'],
    ]);
  });

  it('ranks the less loaded of two peers first, and then the faster', () => {
    const { scoreboard, record, rank } = makeScoreboard();
    scoreboard.begin('a');
    assert.deepEqual(rank('a', 'b'), ['b', 'a']);
    scoreboard.begin('b');
    record('a', { kind: 'delivered', bytes: 1_000_000, milliseconds: 10 });
    record('b', { kind: 'delivered', bytes: 1_000_000, milliseconds: 1 });
    assert.deepEqual(rank('a', 'b'), ['b', 'a']);
  });

  it('expects of a peer what it delivered lately, and nothing of one that is busy', () => {
    const { scoreboard, clock, record } = makeScoreboard();
    const rateOf = (peerId: string): number => scoreboard.rateOf(peerId, 5);
    assert.equal(rateOf('a'), 5);
    record('a', { kind: 'delivered', bytes: 1_000_000, milliseconds: 1_000 });
    assert.equal(rateOf('a'), 1_000_000);
    record('b', { kind: 'busy' });
    record('c', { kind: 'slow', rate: 7_000 });
    assert.deepEqual([rateOf('b'), rateOf('c')], [0, 7_000]);
    clock.now = 251;
    assert.equal(rateOf('b'), 5);
  });

  it('computes the order no further than it is read', () => {
    let draws = 0;
    const random = (): number => {
      draws += 1;
      return 0;
    };
    const components = { metrics: createMetrics(), logger: quiet };
    const scoreboard = new PeerScoreboard(components, { random });
    const candidates = Array.from({ length: 1_000 }, (_, index) => provider(`${index}`));
    const [first] = scoreboard.rank(candidates, 'key');
    assert.ok(first !== undefined && draws === 2);
  });

  it('doubts a peer for what came of asking it', () => {
    const doubts: Record<PeerOutcome['kind'], [key: boolean, another: boolean]> = {
      answered: [false, false],
      busy: [false, false],
      lacks: [true, false],
      failed: [true, false],
      late: [true, true],
      silent: [true, true],
      'broke-off': [true, false],
      delivered: [false, false],
      slow: [true, false],
      'digest-mismatch': [false, false],
      unverified: [false, false],
      verified: [false, false],
    };
    const fields = { bytes: 1, milliseconds: 1, rate: 1, noticed: 'held-back' } as const;
    for (const [kind, expected] of Object.entries(doubts)) {
      const { scoreboard, record } = makeScoreboard();
      record('a', { kind, ...fields } as unknown as PeerOutcome);
      const found = ['key', 'another'].map((key) => scoreboard.isDoubtful('a', key));
      assert.deepEqual(found, expected, kind);
    }
  });

  it('does not take a peer that breaks off for one that has just answered', () => {
    const { scoreboard, record } = makeScoreboard();
    record('a', { kind: 'silent' });
    record('a', { kind: 'broke-off' });
    assert.equal(scoreboard.takeSilences('a'), 1);
    record('a', { kind: 'failed' });
    assert.equal(scoreboard.takeSilences('a'), 0);
  });

  it('blocks a peer for the key until it is verified', () => {
    const { scoreboard, record, rank } = makeScoreboard();
    record('a', { kind: 'unverified' });
    assert.ok(scoreboard.isBlocked('a', 'key') && !scoreboard.isBlocked('a', 'another'));
    assert.deepEqual(rank('a'), []);
    assert.deepEqual(scoreboard.blocklist.count(), { everything: 0, keys: 1 });
    record('a', { kind: 'verified' });
    assert.deepEqual(rank('a'), ['a']);
  });

  it('doubts an unknown peer only while a request waits for its answer, and counts it until the body ends', () => {
    const { scoreboard, rank } = makeScoreboard();
    const request = scoreboard.begin('a');
    assert.equal(scoreboard.isDoubtful('a', 'key'), true);
    request.answerEnds();
    assert.equal(scoreboard.isDoubtful('a', 'key'), false);
    assert.deepEqual(rank('a', 'b'), ['b', 'a']);
    request.bodyEnds();
    assert.deepEqual(rank('a', 'b'), ['a', 'b']);
  });

  it('knows nothing about a peer that it has only ranked', () => {
    const { scoreboard, rank } = makeScoreboard();
    rank('a', 'b');
    assert.equal(scoreboard.takeSilences('a'), 0);
    assert.equal(scoreboard.isDoubtful('a', 'key'), false);
  });
});
