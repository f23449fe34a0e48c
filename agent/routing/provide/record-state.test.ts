import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { nextState, workOf } from './record-state.ts';
import type { RecordEvent, RecordState } from './record-state.ts';

function after(...events: RecordEvent[]): RecordState | undefined {
  return events.reduce<RecordState | undefined>(nextState, undefined);
}

describe('nextState', () => {
  it('leads a record from assignment to provided, and through a refresh back to it', () => {
    assert.equal(after('assign', 'send', 'confirm'), 'provided');
    assert.equal(after('assign', 'send', 'confirm', 'refresh'), 'requeued');
    assert.equal(after('assign', 'send', 'confirm', 'refresh', 'send', 'confirm'), 'provided');
  });

  it('queues a record again when its exchange fails', () => {
    assert.equal(after('assign', 'send', 'fail'), 'queued');
    assert.equal(after('assign', 'send', 'confirm', 'refresh', 'send', 'fail'), 'requeued');
  });

  it('drops a retracted record that was never sent, and withdraws one that the peer may have', () => {
    assert.equal(after('assign', 'retract'), undefined);
    assert.equal(after('assign', 'send', 'retract', 'confirm'), 'withdrawing');
    assert.equal(after('assign', 'send', 'retract', 'fail'), 'withdrawing');
    assert.equal(after('assign', 'send', 'confirm', 'retract'), 'withdrawing');
    assert.equal(after('assign', 'send', 'confirm', 'release', 'retract'), 'withdrawing');
    assert.equal(after('assign', 'send', 'confirm', 'retract', 'forget'), undefined);
  });

  it('lets a released record expire at the next refresh', () => {
    assert.equal(after('assign', 'send', 'confirm', 'release'), 'surplus');
    assert.equal(after('assign', 'send', 'confirm', 'release', 'refresh'), undefined);
  });

  it('sends a record once more when a refresh comes during its exchange', () => {
    const state = after('assign', 'send', 'confirm', 'refresh', 'send', 'refresh', 'confirm');
    assert.equal(state, 'requeued');
  });

  it('does so for a record in its first exchange, whatever else happens to it', () => {
    const refreshed = ['assign', 'send', 'refresh'] as const;
    assert.equal(after(...refreshed, 'confirm'), 'requeued');
    assert.equal(after(...refreshed, 'fail'), 'requeued');
    assert.equal(after(...refreshed, 'retract', 'confirm'), 'withdrawing');
    assert.equal(after(...refreshed, 'retract', 'fail'), 'withdrawing');
    assert.equal(after(...refreshed, 'release', 'confirm'), 'provided');
    assert.equal(after(...refreshed, 'fail', 'release'), 'surplus', 'it may have the record');
  });
});

describe('workOf', () => {
  it('has work for records to send and to withdraw, and none for those at rest', () => {
    assert.equal(workOf('queued'), 'provide');
    assert.equal(workOf('withdrawing'), 'withdraw');
    assert.equal(workOf('sending-then-withdraw'), 'withdraw');
    for (const state of [undefined, 'sending', 'provided', 'surplus'] as const) {
      assert.equal(workOf(state), undefined);
    }
  });
});
