import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { summary, tell, unknownPaths } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import { putBehindNat } from '../harness/nat.ts';
import { scenario } from '../harness/scenario.ts';

const OUTSIDE = 4;
const INSIDE = 2;
/** Far above the time of any miss, and below that for which containerd waits. */
const MAX_ANSWER_MS = 10_000;

/** Two zones with a NAT between them: nodes of the inner one announce addresses that the others cannot reach. */
suite('a NAT between zones', () => {
  let cluster: LightCluster;
  let lostPackets: () => Promise<number>;

  before(async () => {
    cluster = await LightCluster.create({ nodes: OUTSIDE + INSIDE, bootstrap: 'first-node' });
    const hosts = cluster.nodes.map(({ host }) => host);
    const [outside, inside] = [hosts.slice(0, OUTSIDE), hosts.slice(OUTSIDE)];
    lostPackets = await putBehindNat(cluster.network, inside, outside);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'keeps no node from what it can reach, and what it cannot reach ends in a bounded time',
    () => cluster,
    async ({ nodes }, t) => {
      const outside = nodes.slice(0, OUTSIDE);
      const inside = nodes.slice(OUTSIDE);
      await untilPeers(nodes, nodes.length - 1);
      t.diagnostic(`outside: ${summary(await everyoneFindsEverything(outside))}`);
      t.diagnostic(`inside: ${summary(await everyoneFindsEverything(inside))}`);
      const others = outside.flatMap(({ paths }) => paths);
      tell(t, 'from inside', await ask(inside, () => others), [200]);

      const theirs = inside.flatMap(({ paths }) => paths);
      for (const when of ['at once', 'again']) {
        const unreachable = await ask(outside, () => theirs);
        tell(t, `what only nodes inside hold, ${when}`, unreachable, [404]);
        assert.ok(unreachable.slowest < MAX_ANSWER_MS, `${unreachable.slowest} ms`);
      }
      assert.ok((await lostPackets()) > 0, 'those outside have dialled addresses inside');

      // Held by one node of each zone: the one outside may not be the first to be asked.
      const shared = await inside[0]?.addImage('shared', 5, 'shared');
      assert.deepEqual(await outside[0]?.addImage('shared', 5, 'shared'), shared);
      t.diagnostic(
        `with a shared image, outside: ${summary(await everyoneFindsEverything(outside))}`,
      );
      const found = await ask(outside, () => shared ?? []);
      tell(t, 'what nodes of both zones hold', found, [200]);
      assert.ok(found.slowest < MAX_ANSWER_MS, `${found.slowest} ms`);
      const misses = await ask(nodes, () => unknownPaths(5));
      tell(t, 'what no node holds', misses, [404]);
      assert.ok(misses.slowest < MAX_ANSWER_MS, `${misses.slowest} ms`);
    },
  );
});
