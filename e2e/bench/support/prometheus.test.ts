import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  count,
  difference,
  histogramQuantile,
  readHistogram,
  readSum,
  together,
} from './prometheus.ts';

const TEXT = `# HELP lookup_seconds time
# TYPE lookup_seconds histogram
lookup_seconds_bucket{le="0.001",result="hit"} 50
lookup_seconds_bucket{le="0.002",result="hit"} 90
lookup_seconds_bucket{le="+Inf",result="hit"} 100
lookup_seconds_sum{result="hit"} 0.5
lookup_seconds_count{result="hit"} 100
lookup_seconds_bucket{le="0.001",result="miss"} 0
lookup_seconds_bucket{le="0.002",result="miss"} 0
lookup_seconds_bucket{le="+Inf",result="miss"} 10
placed_total{peer="a"} 3
placed_total{peer="b"} 4
`;

test('a histogram is read by its labels, or all of its series together', () => {
  const hits = readHistogram(TEXT, 'lookup_seconds', { result: 'hit' });
  assert.deepEqual(
    [...(hits ?? [])],
    [
      [0.001, 50],
      [0.002, 90],
      [Infinity, 100],
    ],
  );
  assert.equal(count(readHistogram(TEXT, 'lookup_seconds') ?? new Map()), 110);
  assert.equal(readHistogram(TEXT, 'lookup'), undefined);
});

test('quantiles are interpolated within their bucket', () => {
  const hits = readHistogram(TEXT, 'lookup_seconds', { result: 'hit' }) ?? new Map();
  assert.equal(histogramQuantile(hits, 0.25), 0.0005);
  assert.equal(histogramQuantile(hits, 0.7).toFixed(6), '0.001500');
  assert.equal(histogramQuantile(hits, 0.99), 0.002, 'the last bucket has no upper bound');
  assert.ok(Number.isNaN(histogramQuantile(new Map(), 0.5)));
});

test('the difference of two readings sums several agents', () => {
  const before = new Map([
    [1, 1],
    [Infinity, 2],
  ]);
  const after = new Map([
    [1, 4],
    [Infinity, 8],
  ]);
  assert.deepEqual(
    [...difference(after, before)],
    [
      [1, 3],
      [Infinity, 6],
    ],
  );
  assert.deepEqual([...difference(after, undefined)], [...after]);
  assert.deepEqual(
    [...together([after, before])],
    [
      [1, 5],
      [Infinity, 10],
    ],
  );
});

test('the series of a counter are added up', () => {
  assert.equal(readSum(TEXT, 'placed_total'), 7);
  assert.equal(readSum(TEXT, 'placed'), undefined);
});
