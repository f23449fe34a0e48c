import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from './metrics.ts';
import { METRICS, type MetricRow } from './table.ts';

describe('createMetrics', () => {
  it('registers every metric of the table, with its type', async () => {
    const text = await createMetrics().registry.metrics();
    for (const [name, { type }] of Object.entries<MetricRow>(METRICS)) {
      assert.ok(text.includes(`\n# TYPE ${name} ${type}\n`), name);
    }
  });

  it('counts with the labels of the table, and without any where it has none', async () => {
    const metrics = createMetrics();
    metrics.digestMismatches.inc({ noticed: 'held-back', peer: 'a' });
    metrics.lookupDuration.observe({ result: 'hit' }, 0.02);
    metrics.providedRecords.inc(3);
    const text = await metrics.registry.metrics();
    assert.match(text, /peerglass_peer_offences_total\{noticed="held-back",peer="a"\} 1/);
    assert.match(text, /peerglass_lookup_duration_seconds_bucket\{le="0\.025",result="hit"\} 1/);
    assert.match(text, /peerglass_placed_records_total 3/);
  });

  it('does not compile with an undeclared label value or without the labels', () => {
    const { hedges } = createMetrics();
    // @ts-expect-error The table does not declare this value.
    hedges.inc({ result: 'drawn' });
    // @ts-expect-error The labels of this metric are missing.
    hedges.inc();
    const other = { reason: 'won' };
    assert.throws(() => {
      // @ts-expect-error This is the label of another metric.
      hedges.inc(other);
    });
  });

  it('shares no counts between two agents in one process', async () => {
    const [one, other] = [createMetrics(), createMetrics()];
    one.resumes.inc({ result: 'broken' });
    assert.deepEqual((await other.resumes.get()).values, []);
  });
});
