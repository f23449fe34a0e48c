import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  ask,
  everyoneFindsEverything,
  untilPeers,
  type Findings,
  type Sample,
} from '../harness/finding.ts';
import { REGISTRY } from '../harness/fixtures.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const NODES = 10;
const REPLACED = 3;
/** No host has these addresses: packets to them are lost, not refused. */
const DEAD = ['10.214.0.200', '10.214.0.201', 'fd00:214::200', 'fd00:214::201'];
/** How long half of the nodes are cut off. */
const CUT_MS = 35_000;

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
    'agents find each other although some addresses of the Service are dead',
    () => cluster,
    async ({ nodes, dead }, t) => {
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
    'both halves find their own keys during a partition, and all keys after it',
    () => cluster,
    async ({ network, nodes }, t) => {
      await untilPeers(nodes, NODES - 1);
      // The other half keeps the name server.
      const [near, far] = [nodes.slice(0, NODES / 2), nodes.slice(NODES / 2)];
      const farHosts = far.map(({ host }) => host);
      const cut = performance.now();
      await network.separate(farHosts);
      const beyond = (node: LightNode): string[] =>
        (near.includes(node) ? far : near).flatMap(({ paths }) => paths.slice(0, 2));
      tell(t, 'keys beyond the cut, at once', await ask(nodes, beyond), [404]);
      const [nearFound, farFound] = await Promise.all([
        everyoneFindsEverything(near),
        everyoneFindsEverything(far),
      ]);
      t.diagnostic(
        `own keys of the half with name server: ${summary(nearFound)}; without: ${summary(farFound)}`,
      );
      await untilPeers(nodes, NODES / 2 - 1);
      t.diagnostic(
        `peers beyond the cut noticed as gone within ${((performance.now() - cut) / 1000).toFixed(1)} s`,
      );
      tell(t, 'keys beyond the cut, noticed', await ask(nodes, beyond), [404]);
      await near[0]?.addImage('added-near', 3);
      await far[0]?.addImage('added-far', 3);
      await Promise.all([near, far].map((half) => everyoneFindsEverything(half)));
      // By then the nodes look for the others at long intervals only.
      await sleep(Math.max(0, cut + CUT_MS - performance.now()));

      await network.rejoin(farHosts);
      await converged(t, 'the cut healed', nodes);
    },
    { timeoutMs: 180_000 },
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

/** Waits until all nodes know each other, and every one has found every key of every other. */
async function converged(t: TestContext, what: string, nodes: readonly LightNode[]): Promise<void> {
  const [peers, found] = await Promise.all([
    untilPeers(nodes, nodes.length - 1),
    everyoneFindsEverything(nodes),
  ]);
  t.diagnostic(
    `${what}: all ${nodes.length} know all others after ${span(peers)}; ${summary(found)}`,
  );
}

function summary({ keys, seconds, misses, slowest }: Findings): string {
  return (
    `all ${keys} questions answered with 200 after ${seconds.toFixed(1)} s, ` +
    `asked again ${misses} times, slowest answer ${slowest.toFixed(0)} ms`
  );
}

function tell(t: TestContext, what: string, sample: Sample, expected: readonly number[]): void {
  const { statuses, median, slowest } = sample;
  t.diagnostic(
    `${what}: ${JSON.stringify(statuses)}, median ${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms`,
  );
  assert.deepEqual(Object.keys(statuses).map(Number), expected, what);
}

function span({ first, last }: { first: number; last: number }): string {
  return `${first.toFixed(1)} to ${last.toFixed(1)} s`;
}

function unknownPaths(count: number): string[] {
  return Array.from({ length: count }, () => {
    const digest = `sha256:${randomBytes(32).toString('hex')}`;
    return `/v2/missing/blobs/${digest}?ns=${REGISTRY}`;
  });
}
