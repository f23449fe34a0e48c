import assert from 'node:assert/strict';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { formatSwarmKey, newSwarmKey, type SwarmKey } from '../../agent/membership/swarm-key.ts';
import { OPEN_ENVIRONMENT } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const NODES = ['n0', 'n1', 'n2', 'n3', 'n4'];
/** The file is read every ten seconds. */
const READ_WITHIN_MS = 25_000;
const LAYERS = [{}, { bytes: 2_000_000 }];
const LIMIT_MS = 600_000;

/** The key changes node by node, agents restart, and containerd pulls from the other nodes all the while. */
suite('a change of the swarm key', () => {
  let cluster: Cluster;
  let upstream: Upstream;
  let images = 0;

  before(async () => {
    cluster = await Cluster.start(
      NODES.map((name) => ({ suite: 'forky', name, env: OPEN_ENVIRONMENT })),
    );
    // While the agent of the puller itself restarts, containerd goes to the registry.
    upstream = await cluster.addUpstream();
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  scenario(
    'from none to one and to another loses no pull',
    () => cluster,
    async ({ nodes }, t) => {
      const pulls = new Pulls(nodes);
      const [old, next] = [newSwarmKey(), newSwarmKey()];
      // From an open cluster to one with a key.
      for (const env of [{ PEERGLASS_OPEN: 'true' }, { PEERGLASS_OPEN: 'false' }]) {
        for (const node of nodes) {
          await writeKeys(node, [old]);
          await node.agent.restart({ env: { ...env, SWARM_KEY_FILE: keyFile(node) } });
          await connected(nodes);
        }
      }
      // From the key to another one, half of the nodes at a time.
      for (const keys of [[old, next], [next, old], [next]]) {
        for (const half of [nodes.slice(0, 2), nodes.slice(2)]) {
          await Promise.all(half.map((node) => changeKeys(node, keys)));
          // Its connections are made anew.
          await half[0]?.agent.restart({ env: { SWARM_KEY_FILE: keyFile(half[0]) } });
          await connected(nodes);
        }
      }
      t.diagnostic(`${await pulls.end()} pulls`);
    },
    { timeoutMs: LIMIT_MS },
  );

  /** Pulls of the CRI on one node after the other, of images that another node has got a moment ago. */
  class Pulls {
    readonly #nodes: readonly ClusterNode[];
    readonly #done: Promise<number>;
    #isEnding = false;

    constructor(nodes: readonly ClusterNode[]) {
      this.#nodes = nodes;
      this.#done = this.#run();
      // It is looked at in `end`.
      this.#done.catch(() => undefined);
    }

    /** @returns how many there were */
    async end(): Promise<number> {
      this.#isEnding = true;
      return await this.#done;
    }

    async #run(): Promise<number> {
      let pulls = 0;
      for (let at = 0; !this.#isEnding; at++) {
        const [from, to] = [this.#nodes[at % 5], this.#nodes[(at + 2) % 5]];
        assert.ok(from !== undefined && to !== undefined);
        const name = `${upstream.registry}/rotation/image-${images++}:1.0`;
        const fixture = await makeImage({ name, layers: LAYERS });
        await upstream.push(fixture.layout, fixture.image);
        await from.containerd.importArchive(fixture.archive);
        await waitFor('the agent of the puller runs', async () => {
          await to.agent.ready();
          await waitUntilVisible(to.agent, fixture.image);
          return true;
        });
        await to.containerd.pullWithCri(name);
        await assertHoldsImage(to.containerd, fixture.image);
        pulls += 1;
        await sleep(100);
      }
      return pulls;
    }
  }
});

function keyFile({ host }: ClusterNode): string {
  return join(host.directory, 'swarm.key');
}

/** By a rename, as Kubernetes replaces the files of a Secret. */
async function writeKeys(node: ClusterNode, keys: readonly SwarmKey[]): Promise<void> {
  const file = keyFile(node);
  await writeFile(`${file}.new`, keys.map(formatSwarmKey).join(''), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Writes the keys, and waits until the agent has read them. */
async function changeKeys(node: ClusterNode, keys: readonly SwarmKey[]): Promise<void> {
  const fingerprints = JSON.stringify(keys.map(({ fingerprint }) => fingerprint));
  await writeKeys(node, keys);
  const log = join(node.host.directory, 'agent.log');
  await waitFor(
    `${node.name} has read its key`,
    async () => (await readFile(log, 'utf8')).includes(`"keys":${fingerprints},"`),
    { timeoutMs: READ_WITHIN_MS },
  );
}

async function connected(nodes: readonly ClusterNode[]): Promise<void> {
  await waitFor(
    'the nodes know each other',
    async () => {
      const peers = await Promise.all(
        nodes.map(async ({ agent }) => {
          const response = await agent.fetchMetrics('/debug/status');
          return ((await response.json()) as { directory: { peers: number } }).directory.peers;
        }),
      );
      if (peers.every((count) => count === nodes.length - 1)) return true;
      throw new Error(`they know ${peers.join(', ')} others`);
    },
    { timeoutMs: 60_000 },
  );
}
