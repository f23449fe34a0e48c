import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Finding } from './finding.ts';
import { renderFindings } from './render-findings.ts';

const FINDING: Finding = {
  severity: 'warning',
  code: 'x',
  line: 12,
  column: 4,
  message: 'not good',
  source: '\t\tkey: value',
  caret: 2,
  fatal: false,
};

describe('renderFindings', () => {
  it('puts the caret below its place, whatever the width of tabs is', () => {
    assert.equal(
      renderFindings('F', [FINDING]),
      'F:12:4: warning: not good\n  12 | \t\tkey: value\n     | \t\t^\n',
    );
  });

  it('shows the correction, and no line for an empty source', () => {
    assert.equal(
      renderFindings('F', [{ ...FINDING, source: '', correction: 'key: x' }]),
      'F:12:4: warning: not good\n     = key: x\n',
    );
  });

  it('separates findings by an empty line', () => {
    const finding = { ...FINDING, source: '' };
    assert.equal(
      renderFindings('F', [finding, finding]),
      'F:12:4: warning: not good\n\nF:12:4: warning: not good\n',
    );
    assert.equal(renderFindings('F', []), '');
  });
});
