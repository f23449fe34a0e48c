import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';
import { CHART } from './generate.ts';
import { flagTable, NOT_VALUES, optionValues, SPEGEL_VALUES } from './option-values.ts';

const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as {
  peerglass: object;
  spegel: object;
};

describe('optionValues and flagTable', () => {
  for (const subcommand of ['registry', 'configuration', 'cleanup', 'startup-taint'] as const) {
    it(`have every option of ${subcommand} as a value, or a reason why not`, () => {
      const table = flagTable()[subcommand] ?? {};
      for (const flag of Object.keys(SUBCOMMANDS[subcommand].options)) {
        const name = table[flag];
        if (name === undefined) assert.ok((NOT_VALUES[flag] ?? '') !== '', flag);
        else assert.ok(name in values.peerglass, name);
      }
    });
  }

  it('have no reason for an option that does not exist', () => {
    const options = Object.values(SUBCOMMANDS).flatMap((it) => Object.keys(it.options));
    for (const flag of Object.keys(NOT_VALUES)) assert.ok(options.includes(flag), flag);
  });

  it('have the options of Spegel also below `spegel`', () => {
    const names = optionValues().map(({ name }) => name);
    for (const name of SPEGEL_VALUES) {
      assert.ok(names.includes(name), name);
      assert.ok(name in values.spegel, name);
    }
  });

  it('name the values in camel case, each once', () => {
    const names = optionValues().map(({ name }) => name);
    assert.equal(flagTable()['registry']?.['log-level'], 'logLevel');
    assert.equal(new Set(names).size, names.length);
  });
});
