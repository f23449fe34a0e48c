import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { follow, ORIGINS, PEER, SELF } from '../../testing/downloads-fixture.ts';
import type { Decision } from '../question.ts';
import { alone, peersOf, renewMsOf, roleOf } from './found-parents.ts';

const FETCH: Decision = { kind: 'fetch', renewMs: 50 };
const GO_ON: Decision = { kind: 'go-on', renewMs: 70 };
const HELD: Decision = {
  kind: 'held',
  holders: [PEER, SELF].map((peerId) => ({ peerId, origins: ORIGINS })),
};

describe('what an answer of an arbiter means for a node', () => {
  it('is whom it names', () => {
    assert.deepEqual(peersOf(follow(PEER)), [PEER]);
    assert.deepEqual(peersOf(HELD), [PEER, SELF]);
    for (const decision of [FETCH, GO_ON, alone(0).decision, undefined])
      assert.deepEqual(peersOf(decision), []);
  });

  it('is when it reports: soon where the arbiter was late, and never where it sent the node away', () => {
    assert.equal(renewMsOf(FETCH), 50);
    assert.equal(renewMsOf(alone(0).decision), 250);
    assert.equal(renewMsOf(alone(1).decision), undefined);
    assert.equal(renewMsOf(HELD), undefined);
  });

  it('is what it does: it follows the best that it may ask', () => {
    const providers = [{ peerId: PEER, origins: ORIGINS }];
    const following = { state: 'following', parent: PEER };
    assert.deepEqual(roleOf({ decision: follow(PEER), providers }, 'follow'), following);
    assert.deepEqual(roleOf({ decision: HELD, providers }, 'follow'), following);
    assert.equal(roleOf({ decision: HELD, providers: [] }, 'fetch'), undefined);
    assert.equal(roleOf({ decision: GO_ON, providers: [] }, 'fetch'), undefined);
    for (const decision of [FETCH, alone(5).decision])
      assert.deepEqual(roleOf({ decision, providers: [] }, 'fetch'), { state: 'fetching' });
  });

  it('is not to fetch what it has not offered to fetch', () => {
    const [fetch, sentAway] = [FETCH, alone(5).decision].map((decision) => ({
      ...{ decision, providers: [] },
    }));
    assert.ok(fetch !== undefined && sentAway !== undefined);
    assert.deepEqual(roleOf(fetch, 'take'), { state: 'taking' });
    assert.equal(roleOf(sentAway, 'take'), undefined);
    for (const found of [fetch, sentAway]) assert.equal(roleOf(found, 'follow'), undefined);
  });
});
