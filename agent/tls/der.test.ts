import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  bitString,
  explicit,
  generalizedTime,
  integer,
  objectIdentifier,
  sequence,
  setOf,
  utf8String,
} from './der.ts';

describe('DER', () => {
  const examples: readonly [string, Buffer, string][] = [
    ['an integer', integer(Buffer.of(5)), '020105'],
    ['zero', integer(Buffer.of(0, 0)), '020100'],
    ['an integer without leading zeros', integer(Buffer.of(0, 1, 2)), '02020102'],
    ['an integer that would look negative', integer(Buffer.of(0x80)), '02020080'],
    ['a bit string', bitString(Buffer.of(1, 2)), '0303000102'],
    // The example of X.690, section 8.19.5, with a first component of 2.
    ['an object identifier', objectIdentifier('2.5.4.3'), '0603550403'],
    [
      'an object identifier of large numbers',
      objectIdentifier('1.2.840.113549'),
      '06062a864886f70d',
    ],
    ['a string', utf8String('ab'), '0c026162'],
    ['a time', generalizedTime('20000101000000Z'), '180f32303030303130313030303030305a'],
    ['a sequence', sequence(integer(Buffer.of(1)), integer(Buffer.of(2))), '3006020101020102'],
    ['a set', setOf(integer(Buffer.of(1))), '3103020101'],
    ['an explicit tag', explicit(0, integer(Buffer.of(2))), 'a003020102'],
  ];
  for (const [what, encoded, expected] of examples) {
    it(`encodes ${what}`, () => {
      assert.equal(encoded.toString('hex'), expected);
    });
  }

  for (const [length, head] of [
    [127, '0c7f'],
    [128, '0c8180'],
    [255, '0c81ff'],
    [256, '0c820100'],
    [1_000, '0c8203e8'],
  ] as const) {
    it(`encodes a length of ${length}`, () => {
      const encoded = utf8String('a'.repeat(length));
      assert.equal(encoded.subarray(0, head.length / 2).toString('hex'), head);
      assert.equal(encoded.length, head.length / 2 + length);
    });
  }
});
