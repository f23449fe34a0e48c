import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { renderText, wantsColour } from './render.ts';
import { failure, ok, reportOf, type CheckResult } from './report.ts';

const finding = (id: string, result: CheckResult, group = 'one') => ({ id, group, ...result });
const report = reportOf('1.0.0', [
  finding('first', ok('fine')),
  finding('the-second', failure('wrong', 'line 1\nline 2', ['a', 'b'])),
]);

describe('renderText', () => {
  it('aligns the findings of a group, with details and remedy below', () => {
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

  it('separates groups, and does not refer to the documentation when all is ok', () => {
    const text = renderText(
      reportOf('1.0.0', [finding('a', ok('fine')), finding('b', ok('fine'), 'two')]),
      false,
    );
    assert.equal(
      text,
      'one\n  ok       a  fine\n\ntwo\n  ok       b  fine\n\n0 failed, 0 warnings, 2 ok, 0 skipped\n',
    );
  });

  it('wraps long reasons at 100 columns, and prints ten details at most', () => {
    const details = Array.from({ length: 12 }, (_, index) => `detail ${index}`);
    const long = failure('word '.repeat(60).trim(), 'fix it', details);
    const lines = renderText(reportOf('1.0.0', [finding('long', long)]), false).split('\n');
    for (const line of lines) assert.ok(line.length <= 100, line);
    assert.equal(lines.filter((line) => line.includes('- detail')).length, 10);
    assert.ok(lines.some((line) => line.endsWith('- and 2 more (--output json)')));
  });

  it('colours the outcomes', () => {
    assert.match(renderText(report, true), /\u001b\[31mfailure/);
  });
});

describe('wantsColour', () => {
  it('is true on a terminal only, and not with NO_COLOR or TERM=dumb', () => {
    assert.equal(wantsColour(true, {}), true);
    assert.equal(wantsColour(true, { NO_COLOR: '1' }), false);
    assert.equal(wantsColour(true, { TERM: 'dumb' }), false);
    assert.equal(wantsColour(undefined, {}), false);
  });
});
