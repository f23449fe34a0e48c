import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { Settling } from './settling.ts';

test('calls that come in a burst become one, and an endless burst does not hold it up', (t) => {
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
  const settling = new Settling({ quietMs: 100, mostMs: 1000 }, () => {
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
  assert.ok(acts >= 2, 'acts in the midst of an endless burst');
  settling.call();
  settling.stop();
  const before = acts;
  pass(5000);
  assert.equal(acts, before, 'stopped');
});
