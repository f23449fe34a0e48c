import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import {
  formatRange,
  parseContentRange,
  parseRange,
  rangeLength,
  resolveRange,
} from './byte-range.ts';

describe('parseRange', () => {
  it('parses the three forms of a range', () => {
    assert.deepEqual(parseRange('bytes=0-'), { kind: 'from', start: 0 });
    assert.deepEqual(parseRange('bytes=5-9'), { kind: 'between', start: 5, end: 9 });
    assert.deepEqual(parseRange('bytes=-3'), { kind: 'last', length: 3 });
  });

  for (const header of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=9-5',
    'bytes=0-1,3-4',
    'lines=0-1',
    'bytes=0x1-',
    'bytes=1e3-',
    `bytes=${'9'.repeat(40)}-`,
  ]) {
    it(`ignores ${JSON.stringify(header)}`, () => {
      assert.equal(parseRange(header), undefined);
    });
  }

  it('never throws, whatever the header', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseRange(text);
        parseRange(`bytes=${text}`);
        parseContentRange(`bytes ${text}`);
      }),
    );
  });
});

describe('resolveRange', () => {
  it('names the same bytes as Buffer.subarray', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(60), fc.nat(60), (size, a, b) => {
        const content = Buffer.alloc(size, 7).map((_, index) => index);
        const cut = (header: string): Buffer | undefined => {
          const request = parseRange(header);
          assert.ok(request !== undefined);
          assert.equal(formatRange(request), header);
          const range = resolveRange(request, size);
          if (range === undefined) return undefined;
          const part = Buffer.from(content.subarray(range.start, range.end + 1));
          assert.equal(part.length, rangeLength(range));
          return part;
        };
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const expected = (part: Uint8Array): Buffer | undefined =>
          part.length === 0 ? undefined : Buffer.from(part);
        assert.deepEqual(cut(`bytes=${a}-`), expected(content.subarray(a)));
        assert.deepEqual(cut(`bytes=${low}-${high}`), expected(content.subarray(low, high + 1)));
        assert.deepEqual(cut(`bytes=-${a}`), a === 0 ? undefined : expected(content.slice(-a)));
      }),
    );
  });
});

describe('parseContentRange', () => {
  it('parses known and unknown sizes', () => {
    assert.deepEqual(parseContentRange('bytes 0-9/10'), { start: 0, end: 9, size: 10 });
    assert.deepEqual(parseContentRange('bytes 2-3/*'), { start: 2, end: 3, size: undefined });
  });

  for (const header of [
    'bytes 3-2/10',
    'bytes 0-10/10',
    'bytes */10',
    'bytes 0-9',
    'x',
    undefined,
  ]) {
    it(`refuses ${JSON.stringify(header)}`, () => {
      assert.equal(parseContentRange(header), undefined);
    });
  }
});
