import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { FanOutReport } from '../../agent/app/fan-out-report.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, REGISTRY, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { LAYER_BYTES, layerOf } from './support/herd.ts';

/** What one node sends, in Mbit/s. */
const LINK = 40;
const HOLDER = { suite: 'forky', name: 'holder' } as const;
const OTHERS = [
  { suite: 'bookworm', name: 'one' },
  { suite: 'trixie', name: 'two' },
  { suite: 'forky', name: 'three' },
] as const;

/** No registry can be reached here. */
suite('an imported image that all other nodes of an air gap want at once', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start([HOLDER, ...OTHERS]);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  /** Imports an image on the holder, from where all see it. */
  async function importImage(name: string): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${REGISTRY}/fan-out/${name}:1.0`,
      layers: [{ bytes: LAYER_BYTES, compression: 'none' }],
    });
    await cluster.node('holder').containerd.importArchive(fixture.archive);
    for (const { agent } of others()) await waitUntilVisible(agent, fixture.image);
    for (const { host } of cluster.nodes) await host.limitUpload(LINK);
    return fixture;
  }

  const others = (): readonly ClusterNode[] => OTHERS.map(({ name }) => cluster.node(name));

  /** Pulls it on all other nodes at the same time. */
  async function pullOnOthers({ image }: ImageFixture): Promise<void> {
    await Promise.all(others().map(({ containerd }) => containerd.pullWithCri(image.name)));
    for (const { containerd } of others()) await assertHoldsImage(containerd, image);
  }

  /** The node that takes the layer from its holder, when others follow it and have a third of it. */
  async function taker({ image }: ImageFixture): Promise<ClusterNode> {
    const digest = layerOf(image);
    return await waitFor('a node takes the layer, and others follow it', async () => {
      const received = await Promise.all(others().map((it) => it.containerd.bytesIngested()));
      if (received.some((bytes) => bytes < LAYER_BYTES / 3)) return undefined;
      for (const node of others()) {
        const response = await node.agent.fetchMetrics('/debug/downloads');
        const { downloads } = (await response.json()) as FanOutReport;
        const own = downloads.find((it) => it.digest === digest);
        if (own?.state === 'taking' && own.followerAddresses.length > 0) return node;
      }
      return undefined;
    });
  }

  scenario(
    'leaves its holder once or twice, and not once for each of them',
    () => cluster,
    async () => {
      const fixture = await importImage('once');
      const { host } = cluster.node('holder');
      const before = await host.bytesSent();
      await pullOnOthers(fixture);
      const times = ((await host.bytesSent()) - before) / LAYER_BYTES;
      assert.ok(times > 1 && times < 1.7, `the holder sent ${times.toFixed(2)} images`);
    },
  );

  scenario(
    'goes on from its holder when the node that takes it from there is killed',
    () => cluster,
    async () => {
      const fixture = await importImage('killed');
      const pulls = others().map(async (node) => {
        const pull = node.containerd.pullWithCri(fixture.image.name);
        return { node, error: await pull.then(() => undefined, String) };
      });
      const killed = await taker(fixture);
      await killed.agent.kill();
      const pulled = await Promise.all(pulls);
      const failed = pulled.filter(({ node, error }) => node !== killed && error !== undefined);
      assert.deepEqual(
        failed.map(({ node, error }) => `${node.name}: ${error ?? ''}`),
        [],
      );
      for (const { node } of pulled)
        if (node !== killed) await assertHoldsImage(node.containerd, fixture.image);
      await killed.agent.restart();
    },
  );
});
