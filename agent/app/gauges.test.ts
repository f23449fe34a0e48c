import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { refreshGauges } from './gauges.ts';

const SOURCES: Parameters<typeof refreshGauges>[1] = {
  dataPlane: { path: 'stream' },
  inventory: {
    countByRegistry: () => new Map([['r.example', { tags: 2, images: 3, content: 9 }]]),
  },
  router: { status: () => ({ peers: 4, advertisedKeys: 14, records: 5, bootstrapped: true }) },
  transfer: { blocklist: { count: () => ({ everything: 1, keys: 2 }), status: () => [] } },
  health: { readiness: () => ({ ready: true, checks: {} }) },
};

for (const [what, limit, told] of [
  ['of the control group', 268_435_456, 268_435_456],
  ['of the machine, which is none', totalmem(), 0],
  ['that no machine has', 2 ** 64, 0],
  ['unknown', 0, 0],
] as const) {
  it(`refreshGauges: a memory limit ${what}`, async (t) => {
    t.mock.method(process, 'constrainedMemory', () => limit);
    const metrics = createMetrics();
    refreshGauges(metrics, SOURCES);
    assert.equal((await metrics.memoryLimit.get()).values[0]?.value, told);
  });
}

it('refreshGauges: counts images under the name of older Spegel versions as well', async () => {
  const metrics = createMetrics();
  refreshGauges(metrics, SOURCES);
  const [images] = (await metrics.advertisedImages.get()).values;
  assert.deepEqual([images?.labels, images?.value], [{ registry: 'r.example' }, 5]);
});
