import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { memberOf } from '../../testing/arbiter-fixture.ts';
import { PROBE_MS, PROBE_PAUSE_MS } from './bounds.ts';
import { MemberState } from './member-state.ts';
import { Probing } from './probing.ts';

function stateOf(peerId: string, expected = 0): MemberState {
  return Object.assign(new MemberState(memberOf(peerId)), { expected });
}

describe('Probing', () => {
  it('doubles the probes at a time after a success', () => {
    const probing = new Probing();
    const parent = stateOf('p', 2);
    probing.begin(stateOf('a'), parent, 0);
    assert.equal(probing.isAllowed(0), false);
    parent.isRoomy = true;
    parent.expected = 1;
    probing.reported(parent);
    assert.equal(probing.isProven, false, 'the newcomer is not among its children');
    parent.expected = 2;
    probing.reported(parent);
    assert.equal(probing.isProven, true);
    probing.begin(stateOf('b'), stateOf('q', 2), 0);
    assert.equal(probing.isAllowed(0), true);
    probing.begin(stateOf('c'), stateOf('r', 2), 0);
    assert.equal(probing.isAllowed(0), false);
  });

  it('pauses after a failure, for longer after each', () => {
    const probing = new Probing();
    const newcomer = stateOf('a');
    probing.failed(newcomer, 0);
    assert.equal(probing.isAllowed(0), true, 'it was no probe');
    probing.begin(newcomer, stateOf('p', 2), 0);
    probing.failed(newcomer, 0);
    assert.equal(probing.isAllowed(PROBE_PAUSE_MS - 1), false);
    assert.equal(probing.isAllowed(PROBE_PAUSE_MS), true);
    probing.begin(newcomer, stateOf('p', 2), PROBE_PAUSE_MS);
    probing.failed(newcomer, PROBE_PAUSE_MS);
    assert.equal(probing.isAllowed(3 * PROBE_PAUSE_MS - 1), false);
    assert.equal(probing.isAllowed(3 * PROBE_PAUSE_MS), true);
  });

  it('waits for an outcome for a bounded time, and not for members that are gone', () => {
    const probing = new Probing();
    const newcomer = stateOf('a');
    probing.begin(newcomer, stateOf('p', 2), 0);
    assert.equal(probing.isAllowed(PROBE_MS), false);
    assert.equal(probing.isAllowed(PROBE_MS + 1), true);
    probing.begin(newcomer, stateOf('p', 2), 0);
    probing.forget(newcomer);
    assert.equal(probing.isAllowed(0), true);
  });
});
