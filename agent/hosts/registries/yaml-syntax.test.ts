import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertFindings } from '../../testing/registry-findings.ts';
import { SourceText } from './source-text.ts';
import { checkBounds, isUnquotedStar, parseYaml, reportSyntax } from './yaml-syntax.ts';

const CASES: readonly (readonly [problem: string, text: string, findings: string])[] = [
  [
    'a second document',
    'mirrors: {}\n---\nmirrors: {}\n',
    `F:2:1: error: a second document begins here; k3s reads only the first
  2 | ---
    | ^
`,
  ],
];

describe('checkBounds and reportSyntax', () => {
  for (const [problem, text, findings] of CASES) {
    it(`reports ${problem}`, () => {
      assertFindings(text, findings);
    });
  }

  it('accept a file with 10,000 registries', () => {
    const registries = Array.from({ length: 10_000 }, (_, index) => `  r${index}.example:\n`);
    const source = new SourceText(`mirrors:\n${registries.join('')}`);
    assert.equal(checkBounds(source), true);
  });

  it('refuse nesting of more than 32 levels', () => {
    assert.equal(checkBounds(new SourceText('['.repeat(32))), true);
    const source = new SourceText('['.repeat(33));
    assert.equal(checkBounds(source), false);
    assert.equal(source.findings[0]?.code, 'too-complex');
  });

  it('report an error of the parser without quoting the file', () => {
    const source = new SourceText('password: "hunter2\n');
    const [error] = parseYaml(source.text).errors;
    assert.ok(error !== undefined);
    assert.match(error.message, /quote/);
    reportSyntax(source, error);
    assert.doesNotMatch(JSON.stringify(source.findings), /hunter2/);
    assert.equal(source.findings[0]?.fatal, true);
  });
});

describe('isUnquotedStar', () => {
  it('recognises keys that begin with a star, but not quoted ones or aliases', () => {
    for (const line of ['*:', '  *: {}', '  *.example: x'])
      assert.equal(isUnquotedStar(line), true);
    for (const line of ['"*":', '- *alias', 'a: *b', '*alias : x']) {
      assert.equal(isUnquotedStar(line), false, line);
    }
  });
});
