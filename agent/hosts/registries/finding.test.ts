import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { formatFinding } from './finding.ts';

describe('formatFinding', () => {
  it('begins with file, line and column, as editors read them', () => {
    const text = formatFinding('/etc/x.yaml', {
      severity: 'error',
      code: 'x',
      line: 12,
      column: 4,
      message: 'not good',
      source: 'key: value',
      caret: 3,
      fatal: false,
    });
    assert.equal(text, '/etc/x.yaml:12:4: not good');
  });
});
