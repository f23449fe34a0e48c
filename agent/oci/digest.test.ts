import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { digestAlgorithm, digestHex, parseDigest } from './digest.ts';

describe('parseDigest', () => {
  it('parses a digest that node:crypto made, and returns its parts', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('sha256', 'sha512'), (bytes, algorithm) => {
        const hex = createHash(algorithm).update(bytes).digest('hex');
        const digest = parseDigest(`${algorithm}:${hex}`);
        assert.ok(digest !== undefined);
        assert.equal(digestAlgorithm(digest), algorithm);
        assert.equal(digestHex(digest), hex);
      }),
    );
  });

  for (const [why, text] of [
    ['no algorithm', 'a'.repeat(64)],
    ['unknown algorithm', `md5:${'a'.repeat(32)}`],
    ['upper-case hex', `sha256:${'A'.repeat(64)}`],
    ['one digit short', `sha256:${'a'.repeat(63)}`],
    ['a path in it', `sha256:../${'a'.repeat(61)}`],
    ['a line end behind it', `sha256:${'a'.repeat(64)}\n`],
    ['nothing', ''],
  ] as const) {
    it(`refuses ${why}`, () => {
      assert.equal(parseDigest(text), undefined);
    });
  }
});
