import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { ALL_KEYS, KEYS, editDistance, nearestWord } from './words.ts';

describe('editDistance', () => {
  it('counts insertions, deletions, substitutions and swaps of neighbours', () => {
    for (const [from, to, distance] of [
      ['', 'abc', 3],
      ['abc', 'ac', 1],
      ['abc', 'axc', 1],
      ['abc', 'acb', 1],
      ['passwrod', 'password', 1],
      ['kitten', 'sitting', 3],
    ] as const) {
      assert.equal(editDistance(from, to), distance, `${from} ${to}`);
    }
  });

  it('is symmetric, and zero only for equal words', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 10 }), fc.string({ maxLength: 10 }), (one, other) => {
        const distance = editDistance(one, other);
        assert.equal(distance, editDistance(other, one));
        assert.equal(distance === 0, one === other);
        assert.ok(distance <= Math.max(one.length, other.length));
      }),
    );
  });
});

describe('nearestWord', () => {
  it('ignores case, dashes and underscores, and accepts abbreviations and typing errors', () => {
    for (const [word, expected] of [
      ['CaFile', 'ca_file'],
      ['insecure-skip-verify', 'insecure_skip_verify'],
      ['insecure', 'insecure_skip_verify'],
      ['user', 'username'],
      ['endpoints', 'endpoint'],
      ['mirrros', 'mirrors'],
      ['flavour', undefined],
      ['', undefined],
      ['u'.repeat(65), undefined],
    ] as const) {
      assert.equal(nearestWord(word, ALL_KEYS), expected, word);
    }
  });

  it('finds every key itself', () => {
    for (const key of KEYS.tls) assert.equal(nearestWord(key, KEYS.tls), key);
  });
});
