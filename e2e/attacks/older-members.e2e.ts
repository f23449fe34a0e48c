import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, assertHead, waitUntilVisible } from '../harness/mirror.ts';
import { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { ask, linesAbout, refusals } from './support/asking.ts';

const HOLDER = 'holder';
const PULLER = 'puller';

/** A node with the swarm key whose agent was not upgraded: it neither signs nor knows the newer protocols. */
suite('a member of an older version', () => {
  let cluster: Cluster;
  let older: RogueNode;
  let images = 0;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'trixie', name: HOLDER },
      { suite: 'forky', name: PULLER },
    ]);
    const peers = cluster.nodes.map(({ host }) => host.address);
    const host = await cluster.network.addHost('older');
    older = await RogueNode.start({ host, peers, isOlder: true });
  });
  after(async () => {
    await older[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'is a member of the DHT, gets no content, and is logged once',
    () => cluster,
    async ({ nodes }) => {
      // It has joined: the refusals below are not those of a stranger.
      await waitFor('each node knows it', async () => {
        const known = await Promise.all(nodes.map(({ agent }) => peersOf(agent)));
        return known.every((peers) => peers === nodes.length);
      });
      const holder = cluster.node(HOLDER);
      const image = await imported();
      const before = await refusals(holder, 'unsigned');
      const asked = allPaths(image.image).flatMap((path) => [
        { path, method: 'HEAD' as const },
        { path, method: 'GET' as const },
      ]);
      for (const it of asked) {
        assert.equal(await ask(older.host, holder, it, { 'x-spegel-mirrored': 'true' }), 404);
      }
      assert.equal(await refusals(holder, 'unsigned'), before + asked.length);
      assert.equal((await linesAbout(holder, older.host, 'unsigned')).length, 1);
      await pull(image);
    },
  );

  scenario(
    'is asked for what it provides, and not believed: the image comes from a node that signs',
    () => cluster,
    async () => {
      const puller = cluster.node(PULLER);
      const name = `registry.example.test/older/image-${images++}:1.0`;
      const [genuine, forged] = [
        await makeImage({ name, layers: [{}] }),
        await makeImage({ name, layers: [{}] }),
      ];
      await older.hold(forged);
      await waitFor('its answer was refused', async () => {
        for (const path of allPaths(forged.image)) await assertHead(puller.agent, path, 404);
        return (await unproved(puller)) > 0;
      });
      assert.ok((await older.requests()).length > 0);
      await cluster.node(HOLDER).containerd.importArchive(genuine.archive);
      await waitUntilVisible(puller.agent, genuine.image);
      await pull(genuine);
      // Nothing that is not signed is held against a peer.
      const { agent } = puller;
      assert.equal(await agent.metric('peerglass_banned_peers'), 0);
    },
  );

  /** An image that the holder has, and the puller finds. */
  async function imported(): Promise<ImageFixture> {
    const name = `registry.example.test/older/image-${images++}:1.0`;
    const image = await makeImage({ name, layers: [{}] });
    await cluster.node(HOLDER).containerd.importArchive(image.archive);
    await waitUntilVisible(cluster.node(PULLER).agent, image.image);
    return image;
  }

  /** The cluster goes on. */
  async function pull({ image }: ImageFixture): Promise<void> {
    const { containerd } = cluster.node(PULLER);
    await containerd.pullWithCri(image.name);
    await assertHoldsImage(containerd, image);
  }

  async function unproved({ agent }: ReturnType<Cluster['node']>): Promise<number> {
    return await agent.metric('peerglass_peer_failures_total', { reason: 'identity' });
  }
});

async function peersOf(agent: ReturnType<Cluster['node']>['agent']): Promise<number> {
  const status = (await (await agent.fetchMetrics('/debug/status')).json()) as {
    readonly directory: { readonly peers: number };
  };
  return status.directory.peers;
}
