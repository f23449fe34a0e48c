import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isTaintList, removalOf } from './taints.ts';

const KEY = 'example.com/mirror-not-ready';

describe('removalOf', () => {
  it('removes all taints of the key from the last to the first, each after a test', () => {
    const ours = { key: KEY, effect: 'NoSchedule' };
    const last = { key: KEY, effect: 'NoExecute' };
    const theirs = { key: 'other', effect: 'NoSchedule' };
    assert.deepEqual(removalOf(KEY, [ours, theirs, last]), [
      { op: 'test', path: '/spec/taints/2', value: last },
      { op: 'remove', path: '/spec/taints/2' },
      { op: 'test', path: '/spec/taints/0', value: ours },
      { op: 'remove', path: '/spec/taints/0' },
    ]);
  });

  it('does nothing when there is no such taint', () => {
    assert.deepEqual(removalOf(KEY, [{ key: `${KEY}-2`, effect: 'NoSchedule' }]), []);
  });
});

describe('isTaintList', () => {
  it('accepts a list of objects with a key, and nothing else', () => {
    assert.ok(isTaintList([]) && isTaintList([{ key: KEY, effect: 'NoSchedule' }]));
    for (const value of [undefined, {}, 'text', [null], [{ effect: 'NoSchedule' }]]) {
      assert.ok(!isTaintList(value), JSON.stringify(value));
    }
  });
});
