import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { converged, summary, tell, unknownPaths } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { Flooder, type FloodOrder } from './support/flooder.ts';

const AGENTS = 4;
/** Bounds of `ProviderRecords`. */
const MAX_RECORDS = 100_000;
const MAX_RECORDS_PER_PEER = 10_000;
const MAX_RECORDS_PER_HOST = 20_000;
const RECORDS = MAX_RECORDS_PER_PEER + 500;
/** One host with more identities than have room there. */
const ONE_HOST = { identities: 12, records: RECORDS };
/**
 * More hosts than fill the table, with more records than fit. With the agents these are fewer members than keep a record, so
 * that each agent is to keep those of all others.
 */
const HOSTS = 6;
const EACH_HOST = { identities: 2, records: RECORDS };
/** A limit against growth without end: 100,000 records and what it takes to receive them are some 35 MiB. */
const MAX_GROWTH_BYTES = 150 << 20;

/** Hosts whose members provide as many records as they can, and agents whose keys are found all the same. */
suite('records at the bound', () => {
  let cluster: LightCluster;
  const flooders: Flooder[] = [];

  before(async () => {
    cluster = await LightCluster.create({ nodes: AGENTS, bootstrap: 'first-node' });
    const peers = cluster.nodes.map(({ host }) => host.address);
    for (const node of cluster.nodes) node.start();
    for (let host = 0; host < HOSTS; host++) {
      flooders.push(await Flooder.start(await cluster.network.addHost(`flooder-${host}`), peers));
    }
  });
  after(async () => {
    for (const flooder of flooders) await flooder[Symbol.asyncDispose]();
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
      await flood(1, { identities: 1, records: 2 * MAX_RECORDS_PER_PEER });
      for (const node of nodes) {
        const others = await records(node);
        t.diagnostic(`${node.name} keeps ${others} records after one member`);
        assert.ok(others >= MAX_RECORDS_PER_PEER && others < 1.1 * MAX_RECORDS_PER_PEER);
      }
      const others = first.paths.length * AGENTS;
      for (const [hosts, order, max] of [
        [1, ONE_HOST, MAX_RECORDS_PER_HOST],
        [HOSTS, EACH_HOST, MAX_RECORDS],
      ] as const) {
        await flood(hosts, order);
        for (const node of nodes) {
          const count = await records(node);
          t.diagnostic(`${node.name} keeps ${count} records, of ${hosts} hosts that flood`);
          assert.ok(count > 0.8 * max, 'the bound was reached');
          assert.ok(count <= max + others);
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
      await untilPeers(nodes.slice(1), AGENTS - 2 + HOSTS * EACH_HOST.identities);
      first.start();
      t.diagnostic(`one started again: ${summary(await everyoneFindsEverything(nodes))}`);
      await assertKept(nodes);
      tell(t, 'what no node holds', await ask(nodes, () => unknownPaths(10)), [404]);
    },
    { timeoutMs: 180_000 },
  );

  /** So many hosts flood, with new identities. */
  async function flood(hosts: number, order: FloodOrder): Promise<void> {
    await Promise.all(flooders.slice(0, hosts).map((flooder) => flooder.flood(order)));
  }

  /** Asserts that every node keeps the records of all keys of all nodes. */
  async function assertKept(nodes: readonly LightNode[]): Promise<void> {
    const [asker] = flooders;
    assert.ok(asker !== undefined);
    for (const node of nodes) {
      const { peerId } = await node.status();
      const keys = node.paths.map((path) => /sha256:[0-9a-f]{64}/.exec(path)?.[0]);
      const digests = keys.filter((key) => key !== undefined);
      await waitFor(`all nodes keep the records of ${node.name}`, async () => {
        const named = await asker.named({ keys: digests, peerId });
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
