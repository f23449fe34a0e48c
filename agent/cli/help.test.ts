import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { option } from '../config/option.ts';
import { VALUE, choice } from '../config/values.ts';
import { renderHelp, renderOverview } from './help.ts';

const common = { details: '', spegel: false } as const;

describe('renderOverview', () => {
  it('aligns the summaries of all subcommands behind the longest name', () => {
    const text = renderOverview({ run: { summary: 'runs' }, 'check-all': { summary: 'checks' } });
    assert.match(text, /^ {2}run {8}runs\n {2}check-all {2}checks$/m);
  });
});

describe('renderHelp', () => {
  const table = {
    zone: option({ kind: VALUE.text, fallback: '', summary: 'the zone', ...common }),
    'a-flag-whose-name-takes-all-of-the-column': option({
      kind: VALUE.count,
      fallback: '3',
      summary: 'how often',
      ...common,
    }),
  };

  it('shows the default of an option, and the kind of its value where it has none', () => {
    const text = renderHelp('run', 'runs', { '': table });
    assert.match(text, /^ {2}--zone TEXT {31,}the zone$/m);
    assert.match(text, /^ {2}--a-flag-whose-name-takes-all-of-the-column 3\n {45}how often$/m);
  });

  it('names the allowed values of an option, in a further line where the first is full', () => {
    const choices = { kind: choice('one', 'two'), fallback: 'one', ...common };
    const text = renderHelp('run', 'runs', {
      '': {
        short: option({ ...choices, summary: 'what' }),
        long: option({ ...choices, summary: 'what '.repeat(10).trim() }),
      },
    });
    assert.match(text, /^ {2}--short one +what: one, two$/m);
    assert.match(text, /^ {2}--long one +what .* what:\n {45}one, two$/m);
  });

  it('shows a switch without a value where the subcommand has operands', () => {
    const fix = option({ kind: VALUE.boolean, fallback: 'false', summary: 'writes', ...common });
    assert.match(renderHelp('run', 'runs', { '': { fix } }), /^ {2}--fix false +writes$/m);
    assert.match(renderHelp('run', 'runs', { '': { fix } }, true), /^ {2}--fix {2,}writes$/m);
  });

  it('puts each section under its heading, and none over the only one', () => {
    assert.match(renderHelp('run', 'runs', { 'Where it runs': table }), /^Where it runs:$/m);
    assert.doesNotMatch(renderHelp('run', 'runs', { '': table }), /^:$/m);
  });
});
