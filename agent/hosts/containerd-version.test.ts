import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isAtLeast, parseContainerdVersion } from './containerd-version.ts';

describe('parseContainerdVersion', () => {
  for (const [text, expected] of [
    ['1.6.20~ds1', [1, 6]],
    ['v2.1.5-k3s1', [2, 1]],
    ['2.3', [2, 3]],
    ['2', undefined],
    ['', undefined],
    ['nightly', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parseContainerdVersion(text), expected);
    });
  }
});

describe('isAtLeast', () => {
  it('compares the major version first', () => {
    assert.equal(isAtLeast([2, 0], [1, 7]), true);
    assert.equal(isAtLeast([1, 7], [2, 0]), false);
    assert.equal(isAtLeast([2, 2], [2, 2]), true);
    assert.equal(isAtLeast([2, 1], [2, 2]), false);
  });
});
