import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';

import { Settling } from './settling.ts';

describe('Settling', () => {
  it('acts once for a burst of calls, and in time during an endless one', (t) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    t.after(() => {
      mock.timers.reset();
    });
    const pass = (milliseconds: number): void => {
      now += milliseconds;
      mock.timers.tick(milliseconds);
    };
    let acts = 0;
    const settling = new Settling({ quietMs: 100, maxMs: 1000 }, () => {
      acts++;
    });
    settling.call();
    pass(50);
    settling.call();
    pass(99);
    assert.equal(acts, 0);
    pass(101);
    assert.equal(acts, 1);
    pass(5000);
    assert.equal(acts, 1);
    for (let calls = 0; calls < 40; calls++) {
      settling.call();
      pass(50);
    }
    assert.ok(acts >= 2, 'it acts during an endless burst');
    settling.call();
    settling.stop();
    const before = acts;
    pass(5000);
    assert.equal(acts, before, 'stopped');
  });
});
