import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { converged, summary } from '../harness/convergence.ts';
import { everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import { scenario } from '../harness/scenario.ts';

const NODES = 6;
/** From then on a member counts as one that has all records that it is to keep, so its word is enough for a miss. */
const ESTABLISHED_MS = 32_000;

/** Agents that are restarted one after the other, each within a second or two, as by an upgrade of a unit of systemd. */
suite('a rolling restart', () => {
  let cluster: LightCluster;

  before(async () => {
    cluster = await LightCluster.create({ nodes: NODES });
    const addresses = cluster.nodes.map(({ host }) => host.address);
    for (const node of cluster.nodes) node.bootstrap = addresses;
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'leaves every key where it is found',
    () => cluster,
    async ({ nodes }, t) => {
      await converged(t, 'all started', nodes);
      for (const [index, node] of nodes.entries()) {
        await node.end(index % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
        node.start();
        await untilPeers(nodes, NODES - 1);
      }
      t.diagnostic(`at once: ${summary(await everyoneFindsEverything(nodes))}`);
      await sleep(ESTABLISHED_MS);
      // A record that is lost comes back with the next refresh only, far later than this.
      t.diagnostic(`established: ${summary(await everyoneFindsEverything(nodes, 30_000))}`);
    },
  );
});
