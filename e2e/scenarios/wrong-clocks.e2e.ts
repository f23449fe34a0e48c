import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { converged } from '../harness/convergence.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { scenario } from '../harness/scenario.ts';

const HOUR_MS = 3_600_000;
/** How far an agent's idea of the time may be from the one that it is given. */
const TOLERANCE_MS = HOUR_MS / 4;

/** Agents of which one has a clock that is an hour ahead, and one a clock that is an hour behind. */
suite('wrong clocks', () => {
  let cluster: LightCluster;

  before(async () => {
    cluster = await LightCluster.create({ nodes: 5 });
    for (const [index, hours] of [1, -1].entries()) {
      const node = cluster.nodes[index];
      if (node !== undefined) node.clockOffsetMs = hours * HOUR_MS;
    }
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'of two nodes: they find everything and are found, also elsewhere when the clocks are right again',
    () => cluster,
    async ({ nodes }, t) => {
      const [ahead, behind, ...others] = nodes;
      assert.ok(ahead !== undefined && behind !== undefined);
      await converged(t, 'an hour ahead, and an hour behind', nodes);
      await assertOffset(ahead, HOUR_MS);
      await assertOffset(behind, -HOUR_MS);
      await ahead.addImage('added-ahead', 3);
      await behind.addImage('added-behind', 3);
      await others[0]?.addImage('added-between', 3);
      await converged(t, 'new images', nodes);

      for (const node of [ahead, behind]) {
        await node.kill();
        await move(node);
        node.clockOffsetMs = 0;
        node.start();
      }
      await converged(t, 'both started again with the right time, at other addresses', nodes);
      await assertOffset(ahead, 0);
      await assertOffset(behind, 0);
      for (const node of [ahead, behind]) await node.addImage('added-right', 3);
      await converged(t, 'new images', nodes);
    },
  );
});

/**
 * Gives the machine another address. What it announced with the clock an hour ahead looks newer for an hour than what it
 * announces now, but is wrong.
 */
async function move({ host }: LightNode): Promise<void> {
  const address = host.address.replace(/\.(\d+)$/, '.10$1');
  await host.execute(['ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global']);
  await host.execute(['ip', 'address', 'add', `${address}/24`, 'dev', 'eth0']);
}

/** By the start of its process as the agent states it. */
async function assertOffset(node: LightNode, expectedMs: number): Promise<void> {
  const { text } = await node.admin('/metrics');
  const seconds = Number(/^process_start_time_seconds (\S+)$/m.exec(text)?.[1]);
  const offset = seconds * 1000 - Date.now();
  assert.ok(Math.abs(offset - expectedMs) < TOLERANCE_MS, `${node.name}: ${offset} ms`);
}
