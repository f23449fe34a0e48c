import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { describeLabel, helpOf, labelsOf, METRICS, type MetricRow } from './table.ts';

describe('METRICS', () => {
  it('declares the unit in the name, and "_total" for counters alone', () => {
    for (const [name, { type }] of Object.entries<MetricRow>(METRICS)) {
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_(seconds|bytes)$/);
    }
  });

  it('declares at least one value of each closed label', () => {
    for (const [name, row] of Object.entries<MetricRow>(METRICS)) {
      for (const values of Object.values(labelsOf(row))) assert.notDeepEqual(values, {}, name);
    }
  });
});

describe('helpOf', () => {
  it('appends the labels with their values, on one line', () => {
    const row: MetricRow = {
      type: 'counter',
      help: 'Things.',
      labels: { result: { right: '', wrong: 'it is not' }, peer: 'peer ID' },
    };
    assert.equal(helpOf(row), 'Things. result: right, wrong (it is not). peer: peer ID.');
    for (const each of Object.values<MetricRow>(METRICS)) assert.doesNotMatch(helpOf(each), /\n/);
  });
});

describe('describeLabel', () => {
  it('quotes values, and not the text of an open label', () => {
    const quote = (value: string): string => `<${value}>`;
    assert.equal(describeLabel({ a: '', b: 'the second' }, quote), '<a>, <b> (the second)');
    assert.equal(describeLabel('any host', quote), 'any host');
  });
});
