import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { renderText, wantsColour } from './render.ts';
import { CheckSkippedError, failure, ok, reportOf, warning } from './report.ts';
import { runChecks, type Check } from './run-checks.ts';

const check = (id: string, run: Check<undefined>['run']): Check<undefined> => ({
  id,
  group: 'all',
  run,
});

describe('the checks', () => {
  it('are reported in the order of the table, whatever they do', async () => {
    const findings = await runChecks(
      [
        check('late', () => new Promise((resolve) => setTimeout(resolve, 5, ok('fine')))),
        check('away', () => {
          throw new CheckSkippedError('no rights');
        }),
        check('broken', () => Promise.reject(new Error('oops'))),
        check('bad', () => failure('wrong', 'mend it')),
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

  it('end when their time is up, also those that never began', async () => {
    const never = () => new Promise<never>(() => undefined);
    const many = Array.from({ length: 40 }, (_, index) => check(`c${index}`, never));
    const findings = await runChecks(many, undefined, { checkMs: 20, allMs: 30 });
    assert.equal(findings.length, 40);
    assert.ok(findings.every(({ outcome }) => outcome === 'skipped'));
  });
});

describe('the report', () => {
  const finding = (id: string, verdict: ReturnType<typeof ok>) => ({
    id,
    group: 'one',
    ...verdict,
  });
  const report = reportOf('1.0.0', [
    finding('first', ok('fine')),
    finding('the-second', failure('wrong', 'line 1\nline 2', ['a', 'b'])),
  ]);

  it('has the worst result', () => {
    assert.equal(report.result, 'failure');
    assert.equal(reportOf('1', [finding('w', warning('so so', 'x'))]).result, 'warning');
    assert.equal(reportOf('1', [finding('s', { outcome: 'skipped', reason: 'x' })]).result, 'ok');
    assert.deepEqual(report.counts, { ok: 1, warning: 0, failure: 1, skipped: 0 });
  });

  it('is aligned, and says what to do', () => {
    assert.equal(
      renderText(report, false),
      `one
  ok       first       fine
  failure  the-second  wrong
                       - a
                       - b
                       -> line 1
                          line 2

1 failed, 0 warnings, 1 ok, 0 skipped
docs/TROUBLESHOOTING.md has a section for each of these names.
`,
    );
  });

  it('is coloured for terminals alone, and not against the will of the user', () => {
    assert.match(renderText(report, true), /\u001b\[31mfailure/);
    assert.equal(wantsColour(true, {}), true);
    assert.equal(wantsColour(true, { NO_COLOR: '1' }), false);
    assert.equal(wantsColour(undefined, {}), false);
  });
});
