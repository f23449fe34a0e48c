import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Gauge, Registry } from 'prom-client';

import { Libp2pMetrics } from './libp2p-metrics.ts';

const gauge = (name: string, registry: Registry) =>
  new Gauge({ name, help: name, registers: [registry] });

const valuesOf = async (registry: Registry) =>
  (await registry.getMetricsAsJSON()).map(({ name, values }) => [name, values[0]?.value]);

describe('Libp2pMetrics', () => {
  it('replaces the metrics of the node before, and no others', async () => {
    const target = new Registry();
    gauge('ours', target).set(1);
    const before = new Libp2pMetrics(target);
    gauge('libp2p_a', before).set(1);
    gauge('libp2p_b', before).set(1);
    const after = new Libp2pMetrics(target);
    gauge('libp2p_a', after).set(2);
    assert.deepEqual(await valuesOf(target), [
      ['ours', 1],
      ['libp2p_a', 2],
    ]);
    assert.throws(() => gauge('ours', after), /already been registered/);
  });
});
