import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { at, isRecord, textAt } from './json.ts';

const value = { a: { b: ['x'], c: 'text', d: null } };

describe('at', () => {
  it('returns the value at a path, and undefined where the path ends early', () => {
    assert.deepEqual(at(value, 'a', 'b'), ['x']);
    assert.equal(at(value, 'a', 'd'), null);
    assert.equal(at(value, 'a', 'b', '0'), undefined);
    assert.equal(at(undefined, 'a'), undefined);
    assert.equal(at(value), value);
  });
});

describe('textAt', () => {
  it('returns text only', () => {
    assert.equal(textAt(value, 'a', 'c'), 'text');
    assert.equal(textAt(value, 'a', 'b'), undefined);
  });
});

describe('isRecord', () => {
  it('is true for objects, and false for null, arrays and text', () => {
    assert.equal(isRecord({}), true);
    for (const other of [null, [], 'text', undefined]) assert.equal(isRecord(other), false);
  });
});
