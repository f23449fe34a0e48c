import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CheckSkippedError, failure, ok } from './report.ts';
import { runChecks, type Check } from './run-checks.ts';

const check = (id: string, run: Check<undefined>['run']): Check<undefined> => ({
  id,
  group: 'all',
  run,
});

describe('runChecks', () => {
  it('returns a finding of every check in the order of the table', async () => {
    const findings = await runChecks(
      [
        check('late', () => new Promise((resolve) => setTimeout(resolve, 5, ok('fine')))),
        check('away', () => {
          throw new CheckSkippedError('no rights');
        }),
        check('broken', () => Promise.reject(new Error('oops'))),
        check('bad', () => failure('wrong', 'fix it')),
      ],
      undefined,
    );
    assert.deepEqual(
      findings.map(({ id, outcome, reason }) => `${id} ${outcome} ${reason}`),
      [
        'late ok fine',
        'away skipped no rights',
        'broken warning the check itself failed: oops',
        'bad failure wrong',
      ],
    );
  });

  it('skips the checks that did not end in time, and those that did not begin', async () => {
    const never = () => new Promise<never>(() => undefined);
    const many = Array.from({ length: 40 }, (_, index) => check(`c${index}`, never));
    const findings = await runChecks(many, undefined, { checkMs: 20, allMs: 30 });
    assert.equal(findings.length, 40);
    assert.ok(findings.every(({ outcome }) => outcome === 'skipped'));
  });
});
