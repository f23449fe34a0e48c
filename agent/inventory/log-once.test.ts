import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { LogOnce } from './log-once.ts';

describe('LogOnce', () => {
  it('is true for a subject the first time only', () => {
    const once = new LogOnce();
    assert.equal(once.isFirst('a'), true);
    assert.equal(once.isFirst('a'), false);
    assert.equal(once.isFirst('b'), true);
  });

  it('forgets the oldest of more than 10,000 subjects', () => {
    const once = new LogOnce();
    for (let i = 0; i <= 10_000; i++) once.isFirst(String(i));
    assert.equal(once.isFirst('1'), false);
    assert.equal(once.isFirst('0'), true);
  });
});
