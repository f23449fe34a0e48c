import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { Deadline } from './deadline.ts';

describe('Deadline', () => {
  it('aborts with a TimeoutError after its time', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using deadline = new Deadline(100);
    t.mock.timers.tick(99);
    assert.ok(!deadline.signal.aborted);
    t.mock.timers.tick(1);
    assert.equal((deadline.signal.reason as Error).name, 'TimeoutError');
  });

  it('aborts with the reason of its parent, also of one that is aborted already', () => {
    const parent = new AbortController();
    using deadline = new Deadline(1e6, parent.signal);
    const reason = new Error('stopped');
    parent.abort(reason);
    using late = new Deadline(1e6, parent.signal);
    assert.deepEqual([deadline.signal.reason, late.signal.reason], [reason, reason]);
  });

  it('leaves no listener and no timer behind once it is disposed of', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const parent = new AbortController();
    const deadline = new Deadline(100, parent.signal);
    assert.equal(getEventListeners(parent.signal, 'abort').length, 1);
    deadline[Symbol.dispose]();
    assert.equal(getEventListeners(parent.signal, 'abort').length, 0);
    t.mock.timers.tick(100);
    assert.ok(!deadline.signal.aborted);
  });
});
