import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ALERTS } from './alerts.ts';
import { undeclaredMatchers } from './label-values.ts';
import { DASHBOARD_ROWS } from './panels.ts';

describe('undeclaredMatchers', () => {
  it('finds labels and values that the table does not declare', () => {
    const found = undeclaredMatchers(
      'peerglass_verdicts_total{result="lost"} + peerglass_verdicts_total{result="guilty"} ' +
        'or peerglass_ready{result="lost"} or peerglass_fall_throughs_total{reason=~"no-.*|some-.*"}',
    );
    assert.deepEqual(found, [
      'peerglass_verdicts_total{result="guilty"}',
      'peerglass_ready{result="lost"}',
      'peerglass_fall_throughs_total{reason=~"no-.*|some-.*"}',
    ]);
  });

  it('accepts every value of an open label, the labels of Prometheus, and metrics of others', () => {
    const found = undeclaredMatchers(
      'http_request_duration_seconds_bucket{le="0.1",code=~"5..",method="GET"} ' +
        'or process_cpu_seconds_total{any="thing"} or peerglass_ready{job="peerglass"}',
    );
    assert.deepEqual(found, []);
  });
});

describe('alerts and dashboard', () => {
  it('select only by labels and values that the table declares', () => {
    const panels = Object.values(DASHBOARD_ROWS).flat();
    const queries = panels.flatMap((panel) => panel.queries.map(({ expr }) => expr));
    for (const expr of [...queries, ...Object.values(ALERTS).map((alert) => alert.expr)]) {
      assert.deepEqual(undeclaredMatchers(expr), [], expr);
    }
  });
});
