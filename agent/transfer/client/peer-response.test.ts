import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { rangeLength, resolveRange, type RangeRequest } from '../../oci/byte-range.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { sha256 } from '../../testing/image.ts';
import { PeerError } from './peer-error.ts';
import { checkHead } from './peer-response.ts';

const digest = sha256(Buffer.from('a'));
const other = sha256(Buffer.from('b'));
const base = { method: 'GET', registry: '', repository: 'team/app' } as const;
const blob: ContentRequest = { ...base, kind: 'blob', digest };
const byTag: ContentRequest = { ...base, kind: 'manifest', tag: '1.0' };
const from = (start: number): RangeRequest => ({ kind: 'from', start });
const between = (start: number, end: number): RangeRequest => ({ kind: 'between', start, end });

describe('checkHead', () => {
  it('accepts the whole content', () => {
    const head = checkHead(blob, undefined, 200, { 'content-length': '10' });
    assert.deepEqual(head, {
      descriptor: { mediaType: MEDIA_TYPE.binary, digest, size: 10 },
      range: { start: 0, end: 9 },
    });
  });

  it('accepts an empty blob', () => {
    const head = checkHead(blob, undefined, 200, { 'content-length': '0' });
    assert.deepEqual(head.range, { start: 0, end: -1 });
  });

  it('accepts the range that was requested, and the whole where the range is all of it', () => {
    const part = { 'content-length': '4', 'content-range': 'bytes 2-5/10' };
    const head = checkHead(blob, between(2, 5), 206, part);
    assert.deepEqual([head.range, head.descriptor.size], [{ start: 2, end: 5 }, 10]);
    const whole = checkHead(blob, from(0), 200, { 'content-length': '10' });
    assert.deepEqual(whole.range, { start: 0, end: 9 });
  });

  it('takes digest and type of a tag from the headers', () => {
    const head = checkHead(byTag, undefined, 200, {
      'content-length': '10',
      'content-type': `${MEDIA_TYPE.ociManifest}; charset=utf-8`,
      'docker-content-digest': digest,
    });
    assert.deepEqual(head.descriptor, { mediaType: MEDIA_TYPE.ociManifest, digest, size: 10 });
  });

  const refused: Record<string, [string, Parameters<typeof checkHead>]> = {
    'a 404': ['not-found', [blob, undefined, 404, {}]],
    'a 503 with Retry-After': ['busy', [blob, undefined, 503, { 'retry-after': '1' }]],
    'a 503 without it': ['status', [blob, undefined, 503, {}]],
    'a redirect': ['status', [blob, undefined, 307, { location: 'http://example' }]],
    'a 416 whose length agrees': [
      'range',
      [blob, from(10), 416, { 'content-range': 'bytes */10' }],
    ],
    'a 416 for a range that exists': [
      'protocol',
      [blob, from(9), 416, { 'content-range': 'bytes */10' }],
    ],
    'a 416 without a range': ['protocol', [blob, undefined, 416, {}]],
    'an encoded body': [
      'protocol',
      [blob, undefined, 200, { 'content-length': '10', 'content-encoding': 'gzip' }],
    ],
    'no length': ['protocol', [blob, undefined, 200, {}]],
    'two lengths': ['protocol', [blob, undefined, 200, { 'content-length': ['10', '10'] }]],
    'a 206 without a Content-Range': ['protocol', [blob, from(1), 206, { 'content-length': '9' }]],
    'a 206 without a size': [
      'protocol',
      [blob, from(1), 206, { 'content-length': '9', 'content-range': 'bytes 1-9/*' }],
    ],
    'a 206 without a requested range': [
      'protocol',
      [blob, undefined, 206, { 'content-length': '9', 'content-range': 'bytes 1-9/10' }],
    ],
    'the whole content for a range': ['protocol', [blob, from(1), 200, { 'content-length': '10' }]],
    'another range': [
      'protocol',
      [blob, from(1), 206, { 'content-length': '8', 'content-range': 'bytes 2-9/10' }],
    ],
    'a length that is not that of the range': [
      'protocol',
      [blob, from(1), 206, { 'content-length': '8', 'content-range': 'bytes 1-9/10' }],
    ],
    'another digest': [
      'protocol',
      [blob, undefined, 200, { 'content-length': '10', 'docker-content-digest': other }],
    ],
    'a tag without a digest': [
      'protocol',
      [byTag, undefined, 200, { 'content-length': '10', 'content-type': MEDIA_TYPE.ociManifest }],
    ],
    'a manifest of another type': [
      'protocol',
      [
        byTag,
        undefined,
        200,
        { 'content-length': '10', 'content-type': 'text/html', 'docker-content-digest': digest },
      ],
    ],
  };
  for (const [what, [reason, args]] of Object.entries(refused)) {
    it(`refuses ${what} as ${reason}`, () => {
      assert.throws(() => checkHead(...args), { name: 'PeerError', reason });
    });
  }

  it('never accepts another range than the one that was requested, whatever the headers', () => {
    const number = fc.oneof(fc.nat(12), fc.constantFrom(-1, 2 ** 53, 1e15));
    const length = fc.oneof(number.map(String), fc.string({ maxLength: 4 }));
    const contentRange = fc.oneof(
      fc.tuple(number, number, number).map(([a, b, c]) => `bytes ${a}-${b}/${c}`),
      fc.string({ maxLength: 12 }),
    );
    const asked = fc.option(
      fc.oneof(
        fc.nat(12).map(from),
        fc.tuple(fc.nat(12), fc.nat(12)).map(([a, b]) => between(Math.min(a, b), Math.max(a, b))),
      ),
      { nil: undefined },
    );
    const status = fc.constantFrom(200, 206, 416);
    fc.assert(
      fc.property(asked, status, length, contentRange, (range, code, stated, content) => {
        const headers = { 'content-length': stated, 'content-range': content };
        try {
          const head = checkHead(blob, range, code, headers);
          const { size } = head.descriptor;
          const expected = range === undefined ? undefined : resolveRange(range, size);
          assert.deepEqual(head.range, expected ?? { start: 0, end: size - 1 });
          assert.equal(rangeLength(head.range), Number(stated));
        } catch (error) {
          if (!(error instanceof PeerError)) throw error;
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
