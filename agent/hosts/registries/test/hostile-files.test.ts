import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import fc from 'fast-check';

import { WHOLE_REGISTRIES } from '../../../testing/registry-findings.ts';
import { parseRegistries } from '../parse-registries.ts';
import { sharedRegistries } from '../registries.ts';
import { renderFindings } from '../render-findings.ts';

/** Each registry has the entries of the one before it twice. */
function mergesOfMerges(count: number): string {
  const lines = Array.from(
    { length: count },
    (_, i) => `  r${i + 1}.example: &m${i + 1}\n    <<: [*m${i}, *m${i}]\n`,
  );
  return `  r0.example: &m0 {endpoint: []}\n${lines.join('')}`;
}

function aliases(count: number): string {
  return Array.from({ length: count }, (_, i) => `  r${i}.example: {endpoint: *x}\n`).join('');
}

describe('a hostile registries.yaml', () => {
  const MIB = 1_000_000;
  for (const [name, text, code] of [
    ['brackets', '['.repeat(MIB), 'too-complex'],
    ['braces', '{a: '.repeat(MIB / 4), 'too-complex'],
    ['dashes', '- '.repeat(MIB / 2), 'too-complex'],
    ['question marks', '? '.repeat(MIB / 2), 'too-complex'],
    ['colons', ': '.repeat(MIB / 2), undefined],
    ['spaces', `${' '.repeat(MIB)}a: b`, 'too-complex'],
    ['characters in a line', `a${' '.repeat(MIB)}b`, undefined],
    ['characters in a quote', `mirrors: "${'\\"'.repeat(MIB / 2)}`, undefined],
    [
      'levels',
      Array.from({ length: 1400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      'too-complex',
    ],
    ['aliases', `a: &a b\n${'b: *a\n'.repeat(MIB / 40)}`, 'duplicate-key'],
    ['aliases of aliases', `mirrors:\n${mergesOfMerges(40)}`, 'too-complex'],
    [
      'lists of aliases',
      `x: &x [${'https://a.example, '.repeat(20_000)}]\nmirrors:\n${aliases(1_000)}`,
      'too-complex',
    ],
    ['missing anchors', `mirrors:\n${aliases(5_000)}`, 'alias'],
    ['keys', Array.from({ length: MIB / 100 }, (_, i) => `k${i}:`).join('\n'), 'unknown-key'],
    ['equal keys', 'mirrors:\n'.repeat(MIB / 100), 'duplicate-key'],
    ['more keys', 'mirrors:\n'.repeat(MIB / 10), 'too-complex'],
    [
      'hosts that are nearly those of endpoints',
      `mirrors:\n${Array.from({ length: 4_000 }, (_, i) => `  m${i}.example:`).join('\n')}\nconfigs:\n${Array.from({ length: 4_000 }, (_, i) => `  c${i}.example: {}`).join('\n')}\n`,
      'unused-config',
    ],
  ] as const) {
    it(`with many ${name} is parsed in bounded time and stack, with a bounded number of findings`, () => {
      const { findings } = parseRegistries(text);
      assert.ok(findings.length >= 1 && findings.length <= 200, String(findings.length));
      if (code !== undefined) assert.ok(findings.some((finding) => finding.code === code));
      for (const { source, correction = '' } of findings) {
        assert.ok(source.length <= 250 && correction.length <= 250);
      }
    });
  }

  it('of any text is parsed without an exception', () => {
    const line = fc.oneof(
      fc.constantFrom(...WHOLE_REGISTRIES.split('\n')),
      fc.constantFrom(
        '*:',
        '- x',
        '\t- "',
        "''",
        '{',
        '}]',
        '? a',
        '!t &a *a',
        '  &a b.example: &b',
        '  <<: *b',
        'x: *a',
        '---',
        '|',
        '>-',
        '"\\',
      ),
      fc.string({ maxLength: 12, unit: 'binary' }),
    );
    const text = fc
      .array(fc.tuple(fc.nat({ max: 8 }), line), { maxLength: 20 })
      .map((lines) => lines.map(([indent, rest]) => ' '.repeat(indent) + rest).join('\n'));
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'binary', maxLength: 200 })), (any) => {
        const { findings, registries } = parseRegistries(any);
        sharedRegistries(registries);
        const count = any.split('\n').length;
        for (const { line: at, column, caret, source } of findings) {
          assert.ok(at >= 1 && at <= count);
          assert.ok(column >= 1 && caret >= 0 && caret <= source.length);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('shows no credential, however its lines are damaged', () => {
    const secret = fc
      .tuple(
        fc.constantFrom('SECRET', 'hunter2', 'S3CR3T', 'pa55'),
        fc.constantFrom('', '-x.y', ': a', '/b', '#c', ' d', "'e", '=', '@f', '{g}', ', h'),
      )
      .map(([word, rest]) => ({ word, text: word + rest }));
    const place = fc.constantFrom(
      (text: string) => `    auth:\n      username: ${text}\n      password: ${text}\n`,
      (text: string) => `    auth: {username: "${text}", password: '${text}'}\n`,
      (text: string) => `    auth: ${text}\n`,
      (text: string) => `    auth:\n      auth: ${text}\n      identity_token: "${text}"\n`,
      (text: string) => `    auth:\n      passwrod: ${text}\n      pasword: "${text}\n`,
      (text: string) => `    auth:\n      password: |\n        ${text}\n        ${text}\n`,
      (text: string) => `    auth:\n      password:\n        ${text}\n`,
      (text: string) => `    auth:\n      password: [${text}, {a: ${text}}]\n`,
      (text: string) => `    auth: {${text}: x}\n`,
      (text: string) => `    password: ${text}\n    tls: {username: ${text}}\n`,
      (text: string) => `    # ${text}\n    tls: {} # ${text}\n`,
    );
    const mutation = fc.oneof(
      fc.record({ kind: fc.constant('indent' as const), line: fc.nat(), by: fc.nat({ max: 6 }) }),
      fc.record({ kind: fc.constant('tab' as const), line: fc.nat(), by: fc.constant(1) }),
      fc.record({ kind: fc.constant('colon' as const), line: fc.nat(), by: fc.constant(1) }),
      fc.record({ kind: fc.constant('quote' as const), line: fc.nat(), by: fc.constant(1) }),
    );
    fc.assert(
      fc.property(secret, place, fc.array(mutation, { maxLength: 3 }), (hidden, at, changes) => {
        const url = encodeURIComponent(hidden.text);
        const lines =
          `mirrors:\n  m.example:\n    endpoint:\n      - https://u:${url}@m.example?t=${url}\nconfigs:\n  m.example:\n${at(hidden.text)}`.split(
            '\n',
          );
        for (const { kind, line, by } of changes) {
          const index = line % lines.length;
          const text = lines[index] ?? '';
          // Keep the key a key, because only it shows that the value is a credential.
          if (kind === 'indent') lines[index] = ' '.repeat(by) + text.trimStart();
          if (kind === 'tab') lines[index] = text.replace(/^ {2}/, '\t');
          if (kind === 'colon') lines[index] = text.replace(/:$/, '');
          if (kind === 'quote') lines[index] = text.replace(/"$/, '');
        }
        const { findings, registries } = parseRegistries(lines.join('\n'));
        const output = [
          JSON.stringify(findings),
          renderFindings('F', findings),
          inspect(registries, { depth: 20, showHidden: true }),
        ].join('\n');
        assert.ok(!output.includes(hidden.word), `${lines.join('\n')}\n---\n${output}`);
      }),
      {
        numRuns: 1_500,
        examples: [
          [
            { word: 'pa55', text: 'pa55: a' },
            (text: string) => `    auth:\n      password:\n        ${text}\n`,
            [{ kind: 'indent', line: 8, by: 2 }],
          ],
        ],
      },
    );
  });
});
