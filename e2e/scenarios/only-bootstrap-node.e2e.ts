import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { converged, tell, unknownPaths } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const NODES = 6;
/** No host has these addresses: packets to them are lost. */
const DEAD = ['10.214.0.200', '10.214.0.201'];

/** Agents that all have one bootstrap address, that of the first of them. */
suite('the only bootstrap node', () => {
  let cluster: LightCluster;

  before(async () => {
    cluster = await LightCluster.create({ nodes: NODES, bootstrap: 'first-node' });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'dies: the others find everything, and a new node says that it is alone until the first is back',
    () => cluster,
    async ({ nodes }, t) => {
      await converged(t, 'all started', nodes);
      const [first, ...others] = nodes;
      assert.ok(first !== undefined);
      await first.kill();
      await everyoneFindsEverything(others);
      await untilPeers(others, others.length - 1);
      await everyoneFindsEverything(others);
      await others[0]?.addImage('added-later', 3);
      await everyoneFindsEverything(others);

      const newcomer = await cluster.addNode();
      newcomer.start();
      const address = `/ip4/${first.host.address}/tcp/5001`;
      const reason = await waitFor('it says why it has no peers', async () => {
        const { text } = await newcomer.admin('/readyz');
        const { checks } = JSON.parse(text) as { checks: { directory: { reason?: string } } };
        return checks.directory.reason?.includes(address) && checks.directory.reason;
      });
      t.diagnostic(`/readyz: ${reason}`);
      const { directory } = await newcomer.status();
      assert.equal(directory.peers, 0);
      assert.ok(directory.bootstrapError?.includes(address), directory.bootstrapError);
      await waitFor('it serves its own node all the same', async () => {
        const { status, text } = await newcomer.admin('/readyz');
        return status === 200 && text.includes('alone, serving itself');
      });
      const theirs = others.flatMap(({ paths }) => paths.slice(0, 2));
      tell(t, 'keys of the others', await ask([newcomer], () => theirs), [404]);
      const own = await ask([newcomer], () => newcomer.paths);
      tell(t, 'its own keys', own, [200]);

      first.start();
      await converged(t, 'the bootstrap node is back', cluster.nodes);
      assert.equal((await newcomer.status()).directory.bootstrapError, undefined);
      tell(t, 'keys that no node has', await ask([newcomer], () => unknownPaths(5)), [404]);
    },
  );

  scenario(
    'is one of four addresses of which half are dead: new nodes find everything, and are found',
    () => cluster,
    async ({ nodes }, t) => {
      const [first, second] = nodes;
      assert.ok(first !== undefined && second !== undefined);
      const newcomer = await cluster.addNode();
      newcomer.bootstrap = [...DEAD, first.host.address, second.host.address];
      newcomer.start();
      await converged(t, 'a new node with two dead addresses', cluster.nodes);
      await Promise.all(cluster.nodes.map((node) => node.kill()));
      for (const node of cluster.nodes) {
        node.bootstrap = newcomer.bootstrap;
        node.start();
      }
      await converged(t, 'all started again with two dead addresses', cluster.nodes);
    },
  );
});
