import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { converged, summary, tell, unknownPaths } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { Flooder } from './support/flooder.ts';

const AGENTS = 4;
/** Bounds of `ProviderRecords`. */
const MAX_RECORDS = 100_000;
const MAX_RECORDS_PER_PEER = 10_000;
/** More members with more records than fit. */
const FLOOD = { identities: 12, records: MAX_RECORDS_PER_PEER + 500 };
/** A limit against growth without end: 100,000 records and what it takes to receive them are some 35 MiB. */
const MAX_GROWTH_BYTES = 150 << 20;

/** Members that provide as many records as they can, and agents whose keys are found all the same. */
suite('records at the bound', () => {
  let cluster: LightCluster;
  let flooder: Flooder;

  before(async () => {
    cluster = await LightCluster.create({ nodes: AGENTS, bootstrap: 'first-node' });
    const peers = cluster.nodes.map(({ host }) => host.address);
    for (const node of cluster.nodes) node.start();
    flooder = await Flooder.start(await cluster.network.addHost('flooder'), peers);
  });
  after(async () => {
    await flooder[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'hide no key, neither old nor new ones, and memory stays bounded',
    () => cluster,
    async ({ nodes }, t) => {
      await converged(t, 'all started', nodes);
      const [first] = nodes;
      assert.ok(first !== undefined);
      const before = await memory(nodes);
      await flooder.flood({ identities: 1, records: 2 * MAX_RECORDS_PER_PEER });
      for (const node of nodes) {
        const others = await records(node);
        t.diagnostic(`${node.name} keeps ${others} records after one member`);
        assert.ok(others >= MAX_RECORDS_PER_PEER && others < 1.1 * MAX_RECORDS_PER_PEER);
      }
      for (const round of [1, 2]) {
        await flooder.flood(FLOOD);
        for (const node of nodes) {
          const count = await records(node);
          t.diagnostic(`${node.name} keeps ${count} records, round ${round}`);
          assert.ok(count > 0.8 * MAX_RECORDS, 'the bound was reached');
          assert.ok(count <= MAX_RECORDS + first.paths.length * AGENTS);
        }
        await assertKept(nodes);
        t.diagnostic(summary(await everyoneFindsEverything(nodes)));
        const growth = (await memory(nodes)).map((bytes, index) => bytes - (before[index] ?? 0));
        t.diagnostic(`memory grew by ${growth.map((bytes) => bytes >> 20).join(', ')} MiB`);
        for (const bytes of growth) assert.ok(bytes < MAX_GROWTH_BYTES, `${bytes} bytes`);
      }
      await first.addImage('added-to-the-flood', 5);
      await assertKept(nodes);
      t.diagnostic(`a new image: ${summary(await everyoneFindsEverything(nodes))}`);
      await first.kill();
      await untilPeers(nodes.slice(1), AGENTS - 2 + FLOOD.identities);
      first.start();
      t.diagnostic(`one started again: ${summary(await everyoneFindsEverything(nodes))}`);
      await assertKept(nodes);
      tell(t, 'what no node holds', await ask(nodes, () => unknownPaths(10)), [404]);
    },
    { timeoutMs: 180_000 },
  );

  /** Asserts that every node keeps the records of all keys of all nodes. */
  async function assertKept(nodes: readonly LightNode[]): Promise<void> {
    for (const node of nodes) {
      const { peerId } = await node.status();
      const keys = node.paths.map((path) => /sha256:[0-9a-f]{64}/.exec(path)?.[0]);
      const digests = keys.filter((key) => key !== undefined);
      await waitFor(`all nodes keep the records of ${node.name}`, async () => {
        const named = await flooder.named({ keys: digests, peerId });
        if (named < digests.length * AGENTS)
          throw new Error(`${named} of ${digests.length * AGENTS}`);
        return true;
      });
    }
  }
});

async function records(node: LightNode): Promise<number> {
  return (await node.status()).directory.records;
}

async function memory(nodes: readonly LightNode[]): Promise<number[]> {
  return Promise.all(nodes.map(async (node) => (await node.stats()).anonymousBytes));
}
