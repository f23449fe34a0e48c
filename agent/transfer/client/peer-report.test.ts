import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import {
  ALTERNATIVES_HEADER,
  LOAD_HEADER,
  MAX_ALTERNATIVES,
  ZONE_HEADER,
  formatLoad,
  isFull,
  parseReport,
} from './peer-report.ts';

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const peerId = fc.string({
  unit: fc.constantFrom(...BASE58.split('')),
  minLength: 46,
  maxLength: 52,
});
const count = fc.integer({ min: 0, max: 999_999 });

describe('parseReport', () => {
  it('reads the headers of a mirror', () => {
    fc.assert(
      fc.property(
        fc.record({ uploads: count, max: count }, { noNullPrototype: true }),
        fc.uniqueArray(peerId, { minLength: 1, maxLength: MAX_ALTERNATIVES }),
        (load, alternatives) => {
          const report = parseReport({
            [LOAD_HEADER]: formatLoad(load),
            [ZONE_HEADER]: 'eu-central-1a',
            [ALTERNATIVES_HEADER]: alternatives.join(', '),
            'retry-after': '1',
          });
          assert.deepEqual(report, { load, zone: 'eu-central-1a', alternatives, retryLater: true });
        },
      ),
    );
  });

  it('returns only well-formed and bounded values, whatever a peer sends', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'0123456789/, .-:x'.split('')) }),
      fc.array(peerId, { maxLength: 20 }).map((ids) => ids.join(',')),
      fc.constant(undefined),
    );
    const value = fc.oneof(text, fc.array(fc.string(), { maxLength: 3 }));
    fc.assert(
      fc.property(value, value, value, value, (load, zone, alternatives, retryAfter) => {
        const report = parseReport({
          ...(load !== undefined && { [LOAD_HEADER]: load }),
          ...(zone !== undefined && { [ZONE_HEADER]: zone }),
          ...(alternatives !== undefined && { [ALTERNATIVES_HEADER]: alternatives }),
          ...(retryAfter !== undefined && { 'retry-after': retryAfter as string }),
        });
        assert.ok(Number.isSafeInteger(report.load?.uploads ?? 0));
        assert.ok(Number.isSafeInteger(report.load?.max ?? 0));
        assert.match(report.zone ?? 'none', /^[\w.-]{1,63}$/);
        assert.ok(report.alternatives.length <= MAX_ALTERNATIVES);
        for (const id of report.alternatives) assert.match(id, /^[1-9A-Za-z]{8,128}$/);
      }),
    );
  });

  it('refuses a list of alternatives that holds an address', () => {
    for (const text of ['http://10.0.0.1:80', '10.0.0.1', 'abcdefghijk,http://10.0.0.1', '', ',']) {
      assert.deepEqual(parseReport({ [ALTERNATIVES_HEADER]: text }).alternatives, [], text);
    }
  });

  it('ignores a malformed load or zone', () => {
    for (const text of ['', '1', '1/', '/1', '-1/2', '1/2/3', '1.5/2', ' 1/2', '1234567/1']) {
      assert.equal(parseReport({ [LOAD_HEADER]: text }).load, undefined, text);
    }
    for (const text of ['', '-a', 'a b', 'a\n', 'ä', 'a'.repeat(64)]) {
      assert.equal(parseReport({ [ZONE_HEADER]: text }).zone, undefined, text);
    }
  });

  it('reports a peer that has reached its maximum of uploads as full', () => {
    const full = (load: string): boolean => isFull(parseReport({ [LOAD_HEADER]: load }));
    assert.deepEqual(['4/4', '5/4', '3/4', '9/0', ''].map(full), [true, true, false, false, false]);
  });
});
