import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { failure, ok, reportOf, skipped, warning, type CheckResult } from './report.ts';

const finding = (result: CheckResult) => ({ id: 'check', group: 'one', ...result });

describe('reportOf', () => {
  it('has the worst outcome as its result, and ignores skipped checks', () => {
    const resultOf = (...results: readonly CheckResult[]) =>
      reportOf('1.0.0', results.map(finding)).result;
    assert.equal(resultOf(ok('a'), failure('b', 'fix'), warning('c', 'fix')), 'failure');
    assert.equal(resultOf(ok('a'), warning('b', 'fix'), skipped('c')), 'warning');
    assert.equal(resultOf(skipped('a')), 'ok');
  });

  it('counts the outcomes', () => {
    const { counts, schema } = reportOf('1.0.0', [ok('a'), ok('b'), skipped('c')].map(finding));
    assert.deepEqual(counts, { ok: 2, warning: 0, failure: 0, skipped: 1 });
    assert.equal(schema, 1);
  });
});

describe('the results of checks', () => {
  it('have details only when there are some', () => {
    assert.deepEqual(ok('fine'), { outcome: 'ok', reason: 'fine' });
    assert.deepEqual(warning('so so', 'fix', ['a']), {
      outcome: 'warning',
      reason: 'so so',
      remedy: 'fix',
      details: ['a'],
    });
  });
});
