import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { ABSENT } from '../../testing/conformance/content-store.ts';
import { StateNotices } from './state-notices.ts';

function make(t: TestContext): {
  readonly notices: StateNotices;
  readonly calls: string[];
  readonly set: (children: number, isRoomy: boolean) => void;
} {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let state = { children: 0, isRoomy: true };
  const notices = new StateNotices(() => state);
  const calls: string[] = [];
  notices.onChange((digest) => {
    assert.equal(digest, ABSENT);
    calls.push(`${state.children} ${state.isRoomy}`);
  });
  return {
    notices,
    calls,
    set(children, isRoomy) {
      state = { children, isRoomy };
      notices.check(ABSENT);
    },
  };
}

describe('StateNotices', () => {
  it('tells a change at once, and the next ones after 200 ms', (t) => {
    const { calls, set } = make(t);
    set(0, true);
    assert.deepEqual(calls, [], 'nothing has changed');
    set(1, false);
    set(2, false);
    set(3, true);
    assert.deepEqual(calls, ['1 false']);
    t.mock.timers.tick(199);
    assert.equal(calls.length, 1);
    t.mock.timers.tick(1);
    assert.deepEqual(calls, ['1 false', '3 true']);
    t.mock.timers.tick(200);
    set(3, true);
    assert.equal(calls.length, 2);
    set(3, false);
    assert.deepEqual(calls.slice(2), ['3 false']);
  });

  it('tells that the last has left, and then remembers nothing', (t) => {
    const { calls, set } = make(t);
    set(1, false);
    set(0, true);
    t.mock.timers.tick(200);
    assert.deepEqual(calls, ['1 false', '0 true']);
    t.mock.timers.tick(200);
    set(0, false);
    assert.equal(calls.length, 2);
  });

  it('calls no listener that has ended, and none after it was closed', (t) => {
    const { notices, calls, set } = make(t);
    const other: unknown[] = [];
    const end = notices.onChange((digest) => {
      other.push(digest);
    });
    set(1, false);
    end();
    t.mock.timers.tick(200);
    set(2, false);
    assert.deepEqual([other.length, calls.length], [1, 2]);
    notices.close();
    t.mock.timers.tick(1_000);
    set(3, false);
    assert.equal(calls.length, 2);
  });
});
