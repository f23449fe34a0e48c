import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isMap, isScalar } from 'yaml';

import { assertFindings } from '../../testing/registry-findings.ts';
import { aliasTargets, holdsAnchor } from './aliases.ts';
import { SourceText } from './source-text.ts';
import { parseYaml } from './yaml-syntax.ts';

describe('aliasTargets', () => {
  it('finds the last anchor of the name above the alias', () => {
    const document = parseYaml('a: &x 1\nb: *x\nc: &x 2\nd: *x\n');
    const source = new SourceText('');
    const targets = [...aliasTargets(document, source).values()];
    assert.deepEqual(
      targets.map((target) => isScalar(target) && target.value),
      [1, 2],
    );
    assert.deepEqual(source.findings, []);
  });

  it('reports an alias without an anchor above it, and one within its own anchor', () => {
    assertFindings(
      'mirrors:\n  a.example: *all\n  b.example: &all\n    <<: *all\n',
      `F:2:14: error: no anchor above has the name of this alias; text that begins with a star needs quotes
  2 |   a.example: [hidden]
    |              ^

F:4:5: error: << must be followed by the alias of a map, or a list of such aliases
  4 |     <<: [hidden]
    |     ^

F:4:9: error: this alias is within its own anchor
  4 |     <<: [hidden]
    |         ^
`,
    );
  });
});

describe('holdsAnchor', () => {
  it('finds an anchor on the node itself or within it', () => {
    for (const [text, expected] of [
      ['a: &x {}', true],
      ['a: {b: [&x 1]}', true],
      ['a: {b: [1]}', false],
      ['a:', false],
    ] as const) {
      const { contents } = parseYaml(text);
      assert.ok(isMap(contents));
      assert.equal(holdsAnchor(contents.items[0]?.value ?? undefined), expected, text);
    }
  });
});
