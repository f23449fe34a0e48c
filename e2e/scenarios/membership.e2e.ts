import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { converged, span, summary, tell, unknownPaths } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const NODES = 10;
const REPLACED = 3;
/**
 * No host has these addresses: packets to them are lost, not refused. With that of the name server they are as many as
 * the addresses of the nodes.
 */
const DEAD = Array.from({ length: 12 }, (_, index) =>
  index % 2 === 0 ? `10.214.0.${200 + index}` : `fd00:214::${200 + index}`,
);

/**
 * Agents over image folders, found by the name of a headless Service that names dead addresses too. Each
 * scenario ends when every node has found every key of every other; how long that took is printed.
 */
suite('membership', () => {
  let cluster: LightCluster;

  before(async () => {
    cluster = await LightCluster.create({ nodes: NODES, dead: DEAD });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'agents find each other although half of the addresses of the Service are dead',
    () => cluster,
    async ({ nodes, dead, living }, t) => {
      assert.equal(dead.length, living.length);
      await converged(t, 'all nodes started at once', nodes);
      // A host that dials an address has an entry for it in its neighbour table, even without an answer.
      const tables = await Promise.all(
        nodes.map(({ host }) => host.execute(['ip', 'neighbour', 'show'])),
      );
      const asked = new Set(
        tables
          .join('\n')
          .split('\n')
          .map((line) => line.split(' ')[0]),
      );
      assert.ok(
        dead.some((address) => asked.has(address)),
        'dead addresses are among those dialled',
      );
      await converged(t, 'nothing changes', nodes);
      const misses = await ask(nodes, () => unknownPaths(5));
      tell(t, 'keys that no node has', misses, [404]);
    },
  );

  scenario(
    'all agents find each other again after all were killed and restarted at once',
    () => cluster,
    async ({ nodes }, t) => {
      await untilPeers(nodes, NODES - 1);
      await Promise.all(nodes.map((node) => node.kill()));
      for (const node of nodes) node.start();
      await converged(t, 'all agents killed and started', nodes);
    },
  );

  scenario(
    'new nodes that replace three of ten find and are found',
    () => cluster,
    async ({ nodes }, t) => {
      await untilPeers(nodes, NODES - 1);
      const departed = nodes.slice(0, REPLACED);
      await Promise.all(departed.map((node) => node.kill()));
      for (const node of departed) cluster.remove(node);
      const staying = [...nodes];
      const theirs = departed.flatMap(({ paths }) => paths.slice(0, 3));
      const [gone, misses] = await Promise.all([
        untilPeers(staying, NODES - 1 - REPLACED),
        ask(staying, () => theirs),
      ]);
      t.diagnostic(`departed peers forgotten ${span(gone)} after they were killed`);
      tell(t, 'keys of those departed', misses, [404]);
      const added: LightNode[] = [];
      for (let index = 0; index < REPLACED; index++) added.push(await cluster.addNode());
      await cluster.publish();
      for (const node of added) node.start();
      await converged(t, 'new nodes started', nodes);
    },
  );

  scenario(
    'the others find all keys of theirs when one node freezes and another loses its network',
    () => cluster,
    async ({ nodes }, t) => {
      await untilPeers(nodes, NODES - 1);
      const [stopped, unplugged, ...others] = nodes;
      assert.ok(stopped !== undefined && unplugged !== undefined);
      const lost = [...stopped.paths, ...unplugged.paths];
      const started = performance.now();
      stopped.signal('SIGSTOP');
      await unplugged.host.plug(false);
      const watch = async (what: string): Promise<void> => {
        const found = await everyoneFindsEverything(others);
        t.diagnostic(`keys of the living, ${what}: ${summary(found)}`);
        tell(t, `keys of the silent, ${what}`, await ask(others, () => lost.slice(0, 4)), [404]);
        tell(t, `keys that no node has, ${what}`, await ask(others, () => unknownPaths(3)), [404]);
      };
      await watch('at once');
      await untilPeers(others, others.length - 1);
      const seconds = (performance.now() - started) / 1000;
      t.diagnostic(`both noticed as gone ${seconds.toFixed(1)} s after they fell silent`);
      await watch('noticed');
      const isAlone = async (): Promise<boolean> => (await unplugged.directory())?.peers === 0;
      await waitFor('the node without network is alone', isAlone, { timeoutMs: 60_000 });
      const alone = (performance.now() - started) / 1000;
      t.diagnostic(`who is cut off knows it after ${alone.toFixed(1)} s`);

      stopped.signal('SIGCONT');
      await unplugged.host.plug(true);
      await converged(t, 'both back', nodes);
    },
  );
});
