import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { option } from '../../agent/config/option.ts';
import { VALUE } from '../../agent/config/values.ts';
import { CHART } from './generate.ts';
import { optionValues } from './option-values.ts';
import { optionOf, readValues, withOptions } from './values-file.ts';

const valuesText = readFileSync(join(CHART, 'values.yaml'), 'utf8');

describe('withOptions', () => {
  it('adds a new option with its description and default', () => {
    const added = {
      name: 'newOption',
      flag: 'new-option',
      option: option({ kind: VALUE.text, fallback: 'x', summary: 'something new', spegel: false }),
    };
    const text = withOptions(valuesText, [...optionValues(), added]);
    assert.notEqual(text, valuesText);
    assert.deepEqual(
      readValues(text).find(({ path }) => path[1] === 'newOption'),
      {
        path: ['peerglass', 'newOption'],
        type: 'string',
        fallback: null,
        description: 'Something new: `--new-option`. Default: `x`.',
      },
    );
  });

  it('refuses a file without marks', () => {
    assert.throws(() => withOptions('a: 1\n', optionValues()), /no marks/);
  });
});

describe('readValues', () => {
  it('reads types and descriptions, and the entries of a map without a description', () => {
    const text = 'a:\n  # -- A text.\n  b: x\n# -- (object) A map.\nc:\n  d: 1\n';
    assert.deepEqual(readValues(text), [
      { path: ['a', 'b'], type: 'string', fallback: 'x', description: 'A text.' },
      { path: ['c'], type: 'object', fallback: { d: 1 }, description: 'A map.' },
    ]);
  });

  it('refuses a value without a description', () => {
    assert.throws(
      () => readValues('a:\n  # -- A text.\n  b: x\n  c: y\n'),
      /has no description of a\.c/,
    );
  });

  it('refuses a value whose type is unknown', () => {
    assert.throws(() => readValues('# -- A list.\na: []\n'), /the type of a is unknown/);
  });
});

describe('optionOf', () => {
  it('finds options below peerglass, and below spegel only those of Spegel', () => {
    const row = (...path: string[]): Parameters<typeof optionOf>[0] => ({
      path,
      type: 'string',
      fallback: null,
      description: '',
    });
    const values = optionValues();
    assert.equal(optionOf(row('peerglass', 'logLevel'), values)?.flag, 'log-level');
    assert.equal(optionOf(row('spegel', 'logLevel'), values)?.flag, 'log-level');
    assert.equal(optionOf(row('spegel', 'uploadLimit'), values), undefined);
    assert.equal(optionOf(row('logLevel'), values), undefined);
  });
});
