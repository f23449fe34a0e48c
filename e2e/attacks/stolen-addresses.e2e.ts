import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { PORTS } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { assertHead, manifestPath, waitUntilVisible } from '../harness/mirror.ts';
import type { Host } from '../harness/namespaces.ts';
import { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';
import { FalseMember } from './support/false-member.ts';

const HOLDER = 'holder';
const PULLER = 'puller';

/** A host that answers in the place of an honest node: at its address, or where a member says that it is. */
suite('in the place of a node', () => {
  let cluster: Cluster;
  let upstream: Upstream;
  let images = 0;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'trixie', name: HOLDER },
      { suite: 'forky', name: PULLER },
    ]);
    upstream = await cluster.addUpstream();
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  scenario(
    'a stranger at its address is not believed, and the node is used when it is back',
    () => cluster,
    async () => {
      const { holder, puller } = nodes();
      const { genuine, forged } = await twoImages();
      await upstream.push(genuine.layout, genuine.image);
      await holder.containerd.importArchive(genuine.archive);
      await waitUntilVisible(puller.agent, genuine.image);

      const thief = await cluster.network.addHost('thief');
      await using rogue = await RogueNode.start({
        host: thief,
        peers: [],
        swarmKeyFile: '',
        mustJoin: false,
      });
      await rogue.hold(forged);
      await holder.host.plug(false);
      await give(thief, holder.host.address);
      await forgetNeighbours(puller.host);
      await waitFor('the stranger is asked, and what it says of the tag is not taken', async () => {
        await assertHead(puller.agent, manifestPath(genuine.image), 404);
        return (await rogue.requests()).length > 0 && (await unproved(puller)) > 0;
      });
      await pull(puller, genuine);
      assert.deepEqual(await warnings(puller), ['the answer is not of the peer that was asked']);

      await thief.plug(false);
      await holder.host.plug(true);
      await forgetNeighbours(puller.host);
      await assertServes(holder, puller);
    },
  );

  scenario(
    'a member at an address that it names for the node is not asked, and the node is not banned',
    () => cluster,
    async () => {
      const { holder, puller } = nodes();
      const { genuine } = await twoImages();
      const { address } = holder.host;
      await using liar = await FalseMember.start(await cluster.network.addHost('liar'), address);
      await liar.order('misplaced');
      // A node that has announced itself is asked where it said. So the puller starts anew, and hears of the holder by the liar only.
      await holder.host.plug(false);
      const bootstrap = `/ip4/${liar.host.address}/tcp/${PORTS.router}`;
      await puller.agent.restart({ flags: ['--static-bootstrap-peers', bootstrap], env: {} });
      await waitFor('the liar is found in the place of the node', async () => {
        await assertHead(puller.agent, manifestPath(genuine.image), 404);
        return (await unproved(puller)) > 0;
      });
      // Its handshake has proved who it is, before any request.
      assert.equal((await liar.asked()).content, 0);
      await holder.host.plug(true);
      await assertServes(holder, puller);
    },
  );

  function nodes(): { readonly holder: ClusterNode; readonly puller: ClusterNode } {
    return { holder: cluster.node(HOLDER), puller: cluster.node(PULLER) };
  }

  /** Two images under one name. */
  async function twoImages(): Promise<{ genuine: ImageFixture; forged: ImageFixture }> {
    const name = `${upstream.registry}/places/image-${images++}:1.0`;
    const genuine = await makeImage({ name, layers: [{}] });
    return { genuine, forged: await makeImage({ name, layers: [{}] }) };
  }

  /** An image that only the node has is pulled from it, and nothing is held against it. */
  async function assertServes(holder: ClusterNode, puller: ClusterNode): Promise<void> {
    const { genuine } = await twoImages();
    await holder.containerd.importArchive(genuine.archive);
    await waitUntilVisible(puller.agent, genuine.image);
    await pull(puller, genuine);
    assert.equal(await puller.agent.metric('peerglass_banned_peers'), 0);
  }
});

async function pull({ containerd }: ClusterNode, { image }: ImageFixture): Promise<void> {
  await containerd.pullWithCri(image.name);
  await assertHoldsImage(containerd, image);
}

/** Answers that were not of the peer that was asked. */
function unproved({ agent }: ClusterNode): Promise<number> {
  return agent.metric('peerglass_peer_failures_total', { reason: 'identity' });
}

/** Causes for which the log names a peer that did not prove who it is. */
async function warnings({ host }: ClusterNode): Promise<string[]> {
  const text = await readFile(join(host.directory, 'agent.log'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.includes('"level":"warn"') && line.includes('"reason":"identity"'))
    .map((line) => (JSON.parse(line) as { cause: string }).cause);
}

/** Gives the host one more address, which it announces to no one. */
async function give(host: Host, address: string): Promise<void> {
  await host.execute(['ip', 'address', 'add', `${address}/24`, 'dev', 'eth0']);
}

/** As after a forged answer about who has which address. */
async function forgetNeighbours(host: Host): Promise<void> {
  await host.execute(['ip', 'neighbour', 'flush', 'dev', 'eth0']);
}
