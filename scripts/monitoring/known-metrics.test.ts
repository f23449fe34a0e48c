import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { METRICS } from '../../agent/metrics/table.ts';
import { knownMetrics, unknownMetrics } from './known-metrics.ts';

describe('knownMetrics', () => {
  it('has the metrics of the table with their types, and those of the process', () => {
    const known = knownMetrics();
    for (const [name, { type }] of Object.entries(METRICS))
      assert.equal(known.get(name), type, name);
    assert.equal(known.get('process_resident_memory_bytes'), 'gauge');
  });
});

describe('unknownMetrics', () => {
  it('finds the metrics that no agent has', () => {
    assert.deepEqual(unknownMetrics('peerglass_ready + peerglass_redy'), ['peerglass_redy']);
  });
});
