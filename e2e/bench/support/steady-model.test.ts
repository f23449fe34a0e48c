import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fitCosts, predict, replicas, workOf, type Costs } from './steady-model.ts';

const COSTS: Costs = { record: 0.05, batch: 2, idle: 3, idlePerPeer: 0.1 };

test('a record is at all other nodes, and at 20 at most', () => {
  assert.deepEqual([2, 21, 22, 5000].map(replicas), [1, 20, 20, 20]);
});

test('the model counts records and batches of a node in a second', () => {
  assert.deepEqual(workOf({ nodes: 11, keys: 100, refreshSeconds: 10 }), {
    records: 100,
    batches: 1,
  });
  // Of 4,999 peers, those that are among the 20 closest of any of 1,000 keys.
  const large = workOf({ nodes: 5000, keys: 1000, refreshSeconds: 1 });
  assert.equal(large.records, 20_000);
  assert.equal(Math.round(large.batches / 10), 491);
});

test('the fit recovers the costs from measurements that they explain', () => {
  const shapes = [
    { nodes: 10, keys: 100, refreshSeconds: 10 },
    { nodes: 30, keys: 100, refreshSeconds: 10 },
    { nodes: 30, keys: 5, refreshSeconds: 10 },
  ];
  const idleOf = (nodes: number): number => COSTS.idle + COSTS.idlePerPeer * (nodes - 1);
  const fitted = fitCosts(
    shapes.map((shape) => ({
      ...workOf(shape),
      idle: idleOf(shape.nodes),
      cpu: predict(COSTS, shape),
    })),
    [10, 30].map((nodes) => ({ nodes, cpu: idleOf(nodes) })),
  );
  for (const [name, value] of Object.entries(COSTS)) {
    assert.ok(Math.abs(fitted[name as keyof Costs] - (value as number)) < 1e-9, name);
  }
});

test('the fit gives zero for a cost that it cannot separate or that would be negative', () => {
  const one = fitCosts([{ records: 100, batches: 1, idle: 0, cpu: 10 }], [{ nodes: 5, cpu: 4 }]);
  assert.deepEqual(one, { record: 0.1, batch: 0, idle: 4, idlePerPeer: 0 });
  const noise = fitCosts(
    [
      { records: 100, batches: 1, idle: 0, cpu: 10 },
      { records: 10, batches: 1, idle: 0, cpu: 0.1 },
    ],
    [
      { nodes: 2, cpu: 5 },
      { nodes: 3, cpu: 4 },
    ],
  );
  assert.ok(noise.record > 0 && noise.idle > 0);
  assert.deepEqual([noise.batch, noise.idlePerPeer], [0, 0]);
});
