import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PeerSwitching } from './peer-switching.ts';

const KIB = 1024;
const slow = { peerId: 'slow', origins: [] };

/** A body, where the scoreboard knows these rates in bytes a second. */
function start(rates: Readonly<Record<string, number>> = {}) {
  const recorded: unknown[] = [];
  const switching = new PeerSwitching(
    {
      rateOf: (peerId, unknown) => rates[peerId] ?? unknown,
      record: ({ peerId }, key, outcome) => recorded.push([peerId, key, outcome]),
    },
    'key',
  );
  return { switching, recorded };
}

describe('PeerSwitching', () => {
  it('leaves peers out only during a search', () => {
    const { switching } = start({ equal: 100 * KIB });
    const search = switching.searchFaster(slow, 100 * KIB);
    assert.ok(switching.excludes('slow') && switching.excludes('equal'));
    search[Symbol.dispose]();
    assert.ok(!switching.excludes('slow') && !switching.excludes('equal'));
  });

  it('asks peers that deliver four times the rate, by what this node saw', () => {
    const { switching } = start({ twice: 200 * KIB, 'four times': 400 * KIB });
    switching.searchFaster(slow, 100 * KIB);
    assert.ok(switching.excludes('twice'));
    assert.ok(!switching.excludes('four times'));
  });

  it('tries a peer that was not measured only beside one that trickles', () => {
    const { switching } = start();
    const search = switching.searchFaster(slow, 65 * KIB);
    assert.ok(switching.excludes('unknown'));
    search[Symbol.dispose]();
    switching.searchFaster(slow, 7 * KIB);
    assert.ok(!switching.excludes('unknown'));
  });

  it('does not return to a peer that it left, however fast that was, and leaves three at most', () => {
    const { switching, recorded } = start({ slow: 1e9 });
    assert.ok(switching.isWorthwhile(KIB, 1_000 * KIB));
    switching.left(slow, KIB);
    assert.deepEqual(recorded, [['slow', 'key', { kind: 'slow', rate: KIB }]]);
    const other = { peerId: 'other', origins: [] };
    switching.searchFaster(other, KIB);
    assert.ok(switching.excludes('slow'));
    switching.left(other, KIB);
    assert.ok(switching.isWorthwhile(KIB, 1_000 * KIB));
    switching.left({ peerId: 'third', origins: [] }, KIB);
    assert.ok(!switching.isWorthwhile(KIB, 1_000 * KIB));
  });

  it('leaves a body that is nearly complete where it is', () => {
    const { switching } = start();
    assert.ok(!switching.isWorthwhile(KIB, 5 * KIB));
    assert.ok(switching.isWorthwhile(KIB, 6 * KIB));
  });
});
