import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { converged, summary, tell } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { scenario } from '../harness/scenario.ts';

const NODES = 9;
/** How long the parts are cut off: by then they look for the others at long intervals only. */
const CUT_MS = 65_000;
const PARTS = [
  ['halves', 2],
  ['thirds', 3],
] as const;

/**
 * Agents whose network falls into parts, of which the first keeps the name server. While it lasts, each part finds what
 * it holds; at most a minute after it has ended, every node finds everything. Each number of parts has a network of its
 * own, and both are cut off at the same time: most of it is waiting.
 */
suite('partitions', { concurrency: true }, () => {
  const clusters = new Map<number, LightCluster>();
  const clusterOf = (count: number): LightCluster => {
    const cluster = clusters.get(count);
    assert.ok(cluster);
    return cluster;
  };

  before(async () => {
    for (const [what, count] of PARTS) {
      clusters.set(count, await LightCluster.create({ nodes: NODES, prefix: `${what}-` }));
    }
  });
  after(async () => {
    for (const cluster of clusters.values()) await cluster[Symbol.asyncDispose]();
  });

  for (const [what, count] of PARTS) {
    scenario(
      `the ${what} of a network find their own keys while they are separated, and all keys after it`,
      () => clusterOf(count),
      async ({ network, nodes }, t) => {
        await Promise.all([untilPeers(nodes, NODES - 1), everyoneFindsEverything(nodes)]);
        const parts = Array.from({ length: count }, (_, part) =>
          nodes.filter((_node, index) => index % count === part),
        );
        const cut = performance.now();
        for (const [index, part] of parts.entries()) {
          if (index > 0) {
            await network.separate(
              part.map(({ host }) => host),
              index,
            );
          }
        }
        const beyond = (node: LightNode): string[] =>
          parts
            .filter((part) => !part.includes(node))
            .flatMap((part) => part.flatMap(({ paths }) => paths.slice(0, 1)));
        const eachFindsItsOwn = async (when: string): Promise<void> => {
          const found = await Promise.all(parts.map((part) => everyoneFindsEverything(part)));
          t.diagnostic(`own keys, ${when}: ${found.map(summary).join('; ')}`);
        };

        tell(t, 'keys beyond the cut, at once', await ask(nodes, beyond), [404]);
        await eachFindsItsOwn('at once');
        await Promise.all(parts.map((part) => untilPeers(part, part.length - 1)));
        const seconds = (performance.now() - cut) / 1000;
        t.diagnostic(`peers beyond the cut noticed as gone within ${seconds.toFixed(1)} s`);
        tell(t, 'keys beyond the cut, noticed', await ask(nodes, beyond), [404]);
        for (const [index, part] of parts.entries()) await part[0]?.addImage(`part-${index}`, 3);
        await eachFindsItsOwn('noticed, with new images');
        await sleep(Math.max(0, cut + CUT_MS - performance.now()));
        await eachFindsItsOwn(`after ${CUT_MS / 1000} s`);

        await network.rejoin(nodes.map(({ host }) => host));
        await converged(t, 'the cut healed', nodes);
      },
      { timeoutMs: 300_000 },
    );
  }
});
