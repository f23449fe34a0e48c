import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { converged, tell } from '../harness/convergence.ts';
import { PORTS } from '../harness/agent-process.ts';
import { ask } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { sumOfSamples } from '../harness/metric-text.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const ROUNDS = 2;
/** A dead identity is asked no more when its address has seen nothing for so long. */
const QUIET_MS = 8000;
/** Layers of the image of each successor. */
const LAYERS = 7;

/** Nodes that are killed, and others that start at their addresses at once, as pods do. */
suite('reused addresses', () => {
  let cluster: LightCluster;

  before(async () => {
    cluster = await LightCluster.create({ nodes: 5 });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'of nodes that were killed: the new ones are found, and the dead ones are not asked for long',
    () => cluster,
    async ({ nodes }, t) => {
      const [reused, ...others] = nodes;
      assert.ok(reused !== undefined);
      await converged(t, 'all started', nodes);
      await countArrivals(reused);
      const dead: string[] = [];
      const lost: string[] = [];
      for (let round = 1; round <= ROUNDS; round++) {
        dead.push((await reused.status()).peerId);
        lost.push(...reused.paths);
        await reused.reset();
        await reused.addImage(`round-${round}`, LAYERS);
        reused.start();
        // Each knows as many as there are: the dead are no members.
        await converged(t, `another node, ${round}`, nodes);
        assert.ok(!dead.includes((await reused.status()).peerId));
        for (const node of others) await assertDoesNotName(node, dead);
        tell(t, `keys of the dead, ${round}`, await ask(others, () => lost), [404]);
      }
      // Each of the others has asked the address once for each of these keys.
      const latest = lost.slice(-reused.paths.length);
      const before = await answered(reused);
      tell(t, 'keys of the dead, again', await ask(others, () => latest), [404]);
      assert.equal(await answered(reused), before, 'requests for keys of the dead');
      const started = performance.now();
      const isQuiet = async (): Promise<boolean> => {
        const arrived = await arrivals(reused);
        await sleep(QUIET_MS);
        return (await arrivals(reused)) === arrived;
      };
      await waitFor('no node dials the address any more', isQuiet, { timeoutMs: 120_000 });
      const seconds = (performance.now() - started - QUIET_MS) / 1000;
      t.diagnostic(`no node dials the address any more after ${seconds.toFixed(1)} s`);
    },
    { timeoutMs: 300_000 },
  );
});

/** Counts from now on how often others want to open a connection to the node's router. */
async function countArrivals({ host }: LightNode): Promise<void> {
  const rule = ['-p', 'tcp', '--syn', '--dport', String(PORTS.router)];
  for (const command of ['iptables', 'ip6tables'])
    await host.execute([command, '-w', '-A', 'INPUT', ...rule]);
}

async function arrivals({ host }: LightNode): Promise<number> {
  let sum = 0;
  for (const command of ['iptables', 'ip6tables']) {
    const text = await host.execute([command, '-w', '-nvxL', 'INPUT']);
    sum += Number(new RegExp(`^\\s*(\\d+).*dpt:${PORTS.router}`, 'm').exec(text)?.[1]);
  }
  assert.ok(sum > 0, 'those that joined are counted');
  return sum;
}

/** Requests for content that the node has answered. */
async function answered(node: LightNode): Promise<number> {
  const { text } = await node.admin('/metrics');
  return sumOfSamples(text, 'peerglass_http_requests_total', { handler: 'registry' });
}

async function assertDoesNotName(node: LightNode, dead: readonly string[]): Promise<void> {
  const { text } = await node.admin('/debug/peers');
  for (const peerId of dead) assert.ok(!text.includes(peerId), `${node.name} names ${peerId}`);
}
