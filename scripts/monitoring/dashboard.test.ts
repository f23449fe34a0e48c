import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { METRICS } from '../../agent/metrics/table.ts';
import { ALERTS } from './alerts.ts';
import { buildDashboard } from './dashboard.ts';
import { knownMetrics, unknownMetrics } from './known-metrics.ts';
import { metricNames } from './metric-names.ts';
import { DASHBOARD_ROWS } from './panels.ts';

/** Metrics that are neither on the dashboard nor in an alert, with the reason. Currently there are none. */
const ELSEWHERE: Readonly<Record<string, string>> = {};

const panels = Object.values(DASHBOARD_ROWS).flat();
const queries = panels.flatMap((panel) => panel.queries.map(({ expr }) => expr));
const known = knownMetrics();
const isHistogram = (name: string): boolean => known.get(name) === 'histogram';

describe('buildDashboard', () => {
  it('uses only metrics that an agent has', () => {
    for (const expr of queries) assert.deepEqual(unknownMetrics(expr), [], expr);
  });

  it('uses every metric that is in no alert, unless there is a reason', () => {
    const exprs = [...queries, ...Object.values(ALERTS).map(({ expr }) => expr)];
    const named = new Set(exprs.flatMap((expr) => [...metricNames(expr, isHistogram)]));
    for (const name of Object.keys(METRICS)) {
      assert.notEqual(named.has(name), name in ELSEWHERE, name);
    }
    for (const name of Object.keys(ELSEWHERE)) assert.ok(name in METRICS, name);
  });

  it('has a row for each of its questions, in their order', () => {
    const rows = buildDashboard().panels?.filter(({ type }) => type === 'row') ?? [];
    assert.deepEqual(
      rows.map((row) => row.title),
      [
        'Is it working?',
        'Is it healthy?',
        'Is it fast?',
        'What does a rollout cost upstream?',
        'What is it costing?',
      ],
    );
  });

  it('has panels with unique IDs that do not overlap', () => {
    const taken = new Set<string>();
    const ids = new Set<number | undefined>();
    const all = buildDashboard().panels ?? [];
    for (const { id, gridPos } of all) {
      ids.add(id);
      assert.ok(gridPos !== undefined && gridPos.x + gridPos.w <= 24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          assert.ok(!taken.has(`${x} ${y}`), `panel ${id} at ${x} ${y}`);
          taken.add(`${x} ${y}`);
        }
      }
    }
    assert.equal(ids.size, all.length);
  });
});
