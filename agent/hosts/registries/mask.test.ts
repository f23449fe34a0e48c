import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { LineMask } from './mask.ts';

/** The lines of a file as they are shown. */
function shown(text: string): string[] {
  const lines = text.split('\n');
  const mask = new LineMask(lines, lines);
  return lines.map((line, index) => mask.mask(index + 1, line).text);
}

describe('LineMask', () => {
  it('shows addresses, paths, booleans and rewrites, and hides all other values', () => {
    assert.deepEqual(
      shown(
        [
          'mirrors:',
          '  a.example:',
          '    endpoint: ["https://m.example", other]',
          '    rewrite: {"^x/(.*)": "y/$1"}',
          '    flavour: x # comment',
          'configs:',
          '  a.example: {tls: {ca_file: /ca.crt, insecure_skip_verify: true}}',
        ].join('\n'),
      ),
      [
        'mirrors:',
        '  a.example:',
        '    endpoint: ["https://m.example", [hidden]]',
        '    rewrite: {"^x/(.*)": "y/$1"}',
        '    flavour: [hidden]',
        'configs:',
        '  a.example: {tls: {ca_file: /ca.crt, insecure_skip_verify: true}}',
      ],
    );
  });

  it('hides every value and every unknown key under auth', () => {
    assert.deepEqual(
      shown('    auth:\n      username: m.example\n      hunter2: /path\n      - "x"\n'),
      [
        '    auth:',
        '      username: [hidden]',
        '      [hidden]: [hidden]',
        '      - "[hidden]"',
        '',
      ],
    );
  });

  it('hides in a corrected line what was a secret in the original one', () => {
    const original = ['    auth:', '      m.example'];
    const mask = new LineMask(['    auth:', '  m.example'], original);
    assert.equal(mask.mask(2, '  m.example').text, '  [hidden]');
    assert.equal(mask.mayName(2, 'm.example'), false);
    assert.equal(mask.mayName(2, 'passwrod'), true);
  });

  it('maps an index of the line to the same token of the shown text', () => {
    const line = 'endpoint: [secret-value, https://m.example]';
    const masked = new LineMask([line], [line]).mask(1, line);
    const { text } = masked;
    assert.equal(text, 'endpoint: [[hidden], https://m.example]');
    assert.equal(masked.index(line.indexOf('https')), text.indexOf('https'));
    assert.equal(masked.index(line.indexOf('value')), text.indexOf('[hidden]'));
    assert.equal(masked.index(1_000), text.length);
  });

  it('shortens long lines', () => {
    const line = `endpoint: [${'https://m.example, '.repeat(500)}]`;
    const { text } = new LineMask([line], [line]).mask(1, line);
    assert.ok(text.length <= 203);
    assert.ok(text.endsWith('...'));
  });
});
