import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import { option } from '../../agent/config/option.ts';
import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';
import { VALUE } from '../../agent/config/values.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { CHART, generateChart, readOrEmpty } from './generate.ts';
import { flagTable, NOT_VALUES, optionValues, SPEGEL_VALUES } from './option-values.ts';
import { readValues, withOptions } from './values-file.ts';

const valuesText = readFileSync(join(CHART, 'values.yaml'), 'utf8');
const values = parse(valuesText) as {
  peerglass: { startupTaint: { key: string } };
  spegel: object;
};

describe('generateChart', () => {
  it('is up to date with the options and values.yaml', async () => {
    for (const [name, text] of Object.entries(await generateChart())) {
      assert.equal(readOrEmpty(join(CHART, name)), text, `run scripts/generate-chart: ${name}`);
    }
  });

  for (const subcommand of ['registry', 'configuration', 'cleanup', 'startup-taint'] as const) {
    it(`has every option of ${subcommand} as a value, or a reason why not`, () => {
      const table = flagTable()[subcommand] ?? {};
      for (const flag of Object.keys(SUBCOMMANDS[subcommand].options)) {
        const name = table[flag];
        if (name === undefined) assert.ok((NOT_VALUES[flag] ?? '') !== '', flag);
        else assert.ok(name in values.peerglass, name);
      }
    });
  }

  it('has no reason for an option that does not exist', () => {
    const options = Object.values(SUBCOMMANDS).flatMap((it) => Object.keys(it.options));
    for (const flag of Object.keys(NOT_VALUES)) assert.ok(options.includes(flag), flag);
  });

  it('has the options of Spegel also below `spegel`', () => {
    const names = optionValues().map(({ name }) => name);
    for (const name of SPEGEL_VALUES) {
      assert.ok(names.includes(name), name);
      assert.ok(name in values.spegel, name);
    }
  });

  it('changes when an option is added', () => {
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

  it('has the same default key of the startup taint as the agent', () => {
    const { key } = values.peerglass.startupTaint;
    assert.equal(key, SUBCOMMANDS['startup-taint'].options['taint-key'].fallback);
  });

  it('refuses a value without a description', () => {
    assert.throws(
      () => readValues('a:\n  # -- A text.\n  b: x\n  c: y\n'),
      /has no description of a\.c/,
    );
  });

  it('has the version of the agent', () => {
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, unknown>;
    assert.equal(chart['appVersion'], packageJson.version);
    assert.equal(chart['version'], packageJson.version);
  });
});
