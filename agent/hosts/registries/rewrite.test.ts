import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { correctReplacement, patternProblem } from './rewrite.ts';

describe('patternProblem', () => {
  it('accepts the syntax of RE2, also where JavaScript has another', () => {
    for (const pattern of [
      '^a/(.*)$',
      '(?i)abc',
      '(?i:abc)',
      '(?P<name>.*)',
      '\\Aabc\\z',
      '[[:alpha:]]+',
      '\\pL\\p{Greek}',
      '\\Q(\\E',
      '\\\\1',
    ]) {
      assert.equal(patternProblem(pattern), undefined, pattern);
    }
  });

  it('refuses what RE2 lacks, and patterns that are not well-formed', () => {
    for (const [pattern, problem] of [
      ['(?=x)', /look-ahead/],
      ['(?<!x)', /look-behind/],
      ['(a)\\1', /back-references/],
      ['(', /Unterminated group/],
      ['a**', /[Nn]othing to repeat/],
    ] as const) {
      assert.match(patternProblem(pattern) ?? '', problem, pattern);
    }
  });
});

describe('correctReplacement', () => {
  it('writes groups as Go reads them', () => {
    assert.equal(correctReplacement('x/\\1'), 'x/$1');
    assert.equal(correctReplacement('$1_old'), '${1}_old');
    assert.equal(correctReplacement('\\2x'), '${2}x');
  });

  it('leaves a correct replacement as it is', () => {
    for (const text of ['x/$1', '${1}_old', '$1/$2', 'plain', '']) {
      assert.equal(correctReplacement(text), text);
    }
  });
});
