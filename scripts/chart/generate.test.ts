import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { CHART, generateChart, readOrEmpty } from './generate.ts';

const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as {
  peerglass: { startupTaint: { key: string } };
};

describe('generateChart', () => {
  it('is up to date with the options and values.yaml', async () => {
    for (const [name, text] of Object.entries(await generateChart())) {
      assert.equal(readOrEmpty(join(CHART, name)), text, `run scripts/generate-chart: ${name}`);
    }
  });

  it('has the same default key of the startup taint as the agent', () => {
    const { key } = values.peerglass.startupTaint;
    assert.equal(key, SUBCOMMANDS['startup-taint'].options['taint-key'].fallback);
  });

  it('has the version of the agent', () => {
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, unknown>;
    assert.equal(chart['appVersion'], packageJson.version);
    assert.equal(chart['version'], packageJson.version);
  });
});
