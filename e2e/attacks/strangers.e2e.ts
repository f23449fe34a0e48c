import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { formatSwarmKey, newSwarmKey } from '../../agent/membership/swarm-key.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, assertHead } from '../harness/mirror.ts';
import type { Host } from '../harness/namespaces.ts';
import { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

/** Long enough for several attempts to join, and for records to be placed. */
const ATTEMPTS_MS = 5000;
/** Time in which a member is known, and its records are placed. */
const JOINED_MS = 3000;

/** A machine on the network of the nodes that is no node of the cluster, and wants its image pulled for the genuine one. */
suite('a stranger on the network', () => {
  let cluster: Cluster;
  let upstream: Upstream;
  let otherKey: string;
  let otherPassphrase: string;
  let hosts = 0;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'trixie', name: 'a' },
      { suite: 'forky', name: 'b' },
    ]);
    upstream = await cluster.addUpstream();
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
    const host = await newHost();
    otherKey = join(host.directory, 'swarm.key');
    await writeFile(otherKey, formatSwarmKey(newSwarmKey()));
    otherPassphrase = join(host.directory, 'passphrase');
    await writeFile(otherPassphrase, 'the passphrase of another cluster, long enough');
  });
  after(() => cluster[Symbol.asyncDispose]());

  for (const [what, keyFile] of [
    ['without a key', () => ''],
    ["with another cluster's key", () => otherKey],
    ["with another cluster's key as a passphrase", () => otherPassphrase],
  ] as const) {
    scenario(
      `${what} places no record, and the pull gets the genuine image`,
      () => cluster,
      async ({ nodes }) => {
        const { genuine, forged } = await images();
        const before = await refusals(nodes);
        const peers = nodes.map(({ host }) => host.address);
        const init = { host: await newHost(), peers, swarmKeyFile: keyFile() };
        await using stranger = await RogueNode.start({ ...init, mustJoin: false });
        await stranger.hold(forged);
        await sleep(ATTEMPTS_MS);
        assert.equal(await stranger.peers(), 0);
        const [, puller] = nodes as [ClusterNode, ClusterNode];
        for (const path of allPaths(forged.image)) await assertHead(puller.agent, path, 404);
        await puller.containerd.pullWithCri(genuine.image.name);
        await assertHoldsImage(puller.containerd, genuine.image);
        assert.deepEqual(await stranger.requests(), []);

        const counted = await refusals(nodes);
        for (const [at, count] of counted.entries()) assert.ok(count > (before[at] ?? 0));
        for (const node of nodes) {
          const lines = await refusalLines(node, stranger.host);
          assert.equal(lines.length, 1, lines.join('\n'));
        }
      },
    );
  }

  // What the key is for: and the proof that the scenarios above can fail.
  scenario(
    'that has the key is a member, and is believed',
    () => cluster,
    async ({ nodes }) => {
      const { forged } = await images();
      const peers = nodes.map(({ host }) => host.address);
      await using member = await RogueNode.start({ host: await newHost(), peers });
      await member.hold(forged);
      await sleep(JOINED_MS);
      const [, puller] = nodes as [ClusterNode, ClusterNode];
      const [path = ''] = allPaths(forged.image);
      await waitFor('its tag is found', async () => {
        await assertHead(puller.agent, path, 200);
        return true;
      });
    },
  );

  async function newHost(): Promise<Host> {
    return await cluster.network.addHost(`stranger-${hosts++}`);
  }

  /** An image that upstream has, and another one under the same name. */
  async function images(): Promise<{ genuine: ImageFixture; forged: ImageFixture }> {
    const name = `${upstream.registry}/strangers/image-${hosts}:1.0`;
    const [genuine, forged] = [
      await makeImage({ name, layers: [{}] }),
      await makeImage({ name, layers: [{}] }),
    ];
    await upstream.push(genuine.layout, genuine.image);
    return { genuine, forged };
  }
});

function refusals(nodes: readonly ClusterNode[]): Promise<readonly number[]> {
  return Promise.all(
    nodes.map(({ agent }) => agent.metric('peerglass_refused_total', { reason: 'swarm-key' })),
  );
}

/** Lines of the node's log about connections from the host that were refused. */
async function refusalLines(node: ClusterNode, { address }: Host): Promise<readonly string[]> {
  const text = await readFile(join(node.host.directory, 'agent.log'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.includes('"reason":"swarm-key"') && line.includes(`/${address}/`));
}
