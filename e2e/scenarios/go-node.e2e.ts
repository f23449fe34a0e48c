import { after, before, suite, test } from 'node:test';

import { OPEN_ENVIRONMENT, PORTS } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { ContainerdNode } from '../harness/containerd-node.ts';
import { containerdRelease } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, assertHead, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import {
  SPEGEL,
  SPEGEL_SUITE,
  startSpegel as startSpegelProcess,
} from '../harness/spegel-process.ts';
import { waitFor } from '../harness/wait.ts';

/** A node that Spegel runs on beside the cluster's. */
interface SpegelNode {
  readonly containerd: ContainerdNode;
  readonly process: Child;
}

if (SPEGEL === undefined) {
  const why = 'PEERGLASS_E2E_SPEGEL names no program: NOTHING was tested with nodes of Spegel';
  process.stderr.write(`e2e: SKIPPED: ${why}.\n`);
  void test('side by side with Spegel', { skip: why });
} else {
  withSpegel(SPEGEL);
}

function withSpegel(program: string): void {
  void suite('side by side with Spegel', () => {
    let cluster: Cluster;
    let spegel: SpegelNode;
    const resources = new AsyncDisposableStack();

    before(async () => {
      cluster = resources.use(
        await Cluster.start(
          // Spegel's nodes have no key.
          ['a', 'b'].map((name) => ({ suite: SPEGEL_SUITE, name, env: OPEN_ENVIRONMENT })),
        ),
      );
      spegel = await startSpegel(program, cluster, resources);
    });
    after(async () => {
      await resources.disposeAsync();
    });

    const nodes = (): Cluster => cluster;

    scenario("Spegel's node pulls what only Peerglass's node holds", nodes, async (_, t) => {
      const fixture = await imageOnA('to-spegel');
      t.diagnostic(`pulled in ${await timed(() => pullWithSpegel(fixture))} ms`);
    });

    scenario(
      "Peerglass's node pulls what only Spegel's node holds",
      nodes,
      async ({ nodes: all }, t) => {
        const fixture = await imageOnA('from-spegel');
        const { image } = fixture;
        await pullWithSpegel(fixture);
        const [a, b] = all as [ClusterNode, ClusterNode];
        await a.containerd.removeImage(image.name);
        await waitFor('a has forgotten it', async () => (await localStatus(a, fixture)) === 404);
        await waitUntilVisible(b.agent, image);
        for (const path of allPaths(image)) await assertHead(b.agent, path, 200);
        t.diagnostic(`pulled in ${await timed(() => b.containerd.pullWithCri(image.name))} ms`);
        await assertHoldsImage(b.containerd, image);
      },
    );

    // Spegel leaves its records where they are when an image goes.
    scenario("stale records of Spegel's node fail no pull", nodes, async ({ nodes: all }) => {
      const fixture = await imageOnA('stale');
      const { image } = fixture;
      await pullWithSpegel(fixture);
      const [, b] = all as [ClusterNode, ClusterNode];
      await waitUntilVisible(b.agent, image);
      await spegel.containerd.removeImage(image.name);
      for (let round = 0; round < 5; round++) {
        for (const path of allPaths(image)) await assertHead(b.agent, path, 200);
      }
      await b.containerd.pullWithCri(image.name);
      await assertHoldsImage(b.containerd, image);
    });

    // Ours leave the records where they are too, with Spegel: they expire. It must not mind.
    scenario(
      'Spegel gets 404 for content that Peerglass removed',
      nodes,
      async ({ nodes: all }) => {
        const fixture = await imageOnA('gone');
        const [a] = all as [ClusterNode];
        await waitFor("Spegel's node finds it", async () => (await spegelStatus(fixture)) === 200);
        await a.containerd.removeImage(fixture.image.name);
        await waitFor('and no longer', async () => (await spegelStatus(fixture)) === 404);
      },
    );

    async function imageOnA(name: string): Promise<ImageFixture> {
      await spegel.containerd.removeImage();
      const fixture = await makeImage({
        name: `${REGISTRY}/mixed/${name}:1.0`,
        layers: [{}, { bytes: 3_000_000 }],
      });
      await cluster.node('a').containerd.importArchive(fixture.archive);
      await waitUntilVisible(cluster.node('b').agent, fixture.image);
      return fixture;
    }

    async function pullWithSpegel(fixture: ImageFixture): Promise<void> {
      await waitFor("Spegel's node finds it", async () => (await spegelStatus(fixture)) === 200);
      await spegel.containerd.pullWithCri(fixture.image.name);
      await assertHoldsImage(spegel.containerd, fixture.image);
    }

    async function spegelStatus({ image }: ImageFixture): Promise<number> {
      const [path = ''] = allPaths(image);
      const url = `http://127.0.0.1:${PORTS.registry}${path}`;
      const response = await spegel.containerd.host.fetch(url, { method: 'HEAD' });
      await response.body?.cancel();
      return response.status;
    }
  });
}

/** The local content of the node's agent, requested like a peer. */
async function localStatus({ agent }: ClusterNode, { image }: ImageFixture): Promise<number> {
  const [path = ''] = allPaths(image);
  const headers = { 'X-Spegel-Mirrored': 'true' };
  const response = await agent.fetch(path, { method: 'HEAD', headers });
  await response.body?.cancel();
  return response.status;
}

async function timed(task: () => Promise<unknown>): Promise<string> {
  const start = performance.now();
  await task();
  return (performance.now() - start).toFixed(0);
}

async function startSpegel(
  program: string,
  cluster: Cluster,
  resources: AsyncDisposableStack,
): Promise<SpegelNode> {
  const host = await cluster.network.addHost('spegel');
  const release = await containerdRelease(SPEGEL_SUITE);
  const containerd = resources.use(await ContainerdNode.start({ host, release }));
  const peers = await Promise.all(cluster.nodes.map(routerAddress));
  const child = resources.use(
    // One flag for all: a second one would replace the first.
    startSpegelProcess(program, containerd, [
      ...['--bootstrap-kind', 'static', '--static-bootstrap-peers', ...peers],
    ]),
  );
  await waitFor('Spegel is ready, and known', async () => {
    if (!child.isRunning) throw new Error('it has ended');
    // On the registry's port, with Spegel.
    const response = await host.fetch(`http://127.0.0.1:${PORTS.registry}/readyz`);
    await response.body?.cancel();
    const peers = await Promise.all(cluster.nodes.map(async (node) => (await status(node)).peers));
    if (response.status !== 200 || peers.some((it) => it !== cluster.nodes.length)) {
      throw new Error(`/readyz ${response.status}, peers of the others ${peers.join(' and ')}`);
    }
    return true;
  }).catch(async (error: unknown) => {
    throw new Error(`Spegel did not become ready:\n${await child.logTail()}`, { cause: error });
  });
  return { containerd, process: child };
}

/** Spegel wants the peer ID in the address. */
async function routerAddress(node: ClusterNode): Promise<string> {
  return `/ip4/${node.host.address}/tcp/${PORTS.router}/p2p/${(await status(node)).peerId}`;
}

async function status({ agent }: ClusterNode): Promise<{ peerId: string; peers: number }> {
  const { peerId, directory } = (await (await agent.fetchMetrics('/debug/status')).json()) as {
    peerId: string;
    directory: { peers: number };
  };
  return { peerId, peers: directory.peers };
}
