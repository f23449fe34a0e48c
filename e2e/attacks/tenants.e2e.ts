import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { CHART_DEFAULTS } from '../../scripts/chart/option-values.ts';
import { PORTS } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import {
  allPaths,
  givesContent,
  headStatus,
  manifestPath,
  nameByDigest,
} from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const USER = { username: 'team', password: 'secret' } as const;
const LAYERS = [{ bytes: 1_000_000 }, {}];
/** containerd 2.1 shows the 404 of the mirror, and not the 401 of the registry behind it. */
const REFUSED = /401|authorization|unauthorized|failed to resolve/i;

/** What the chart sets when it is installed with nothing else, and a registry that lets in one user. */
suite('tenants of a cluster with the sharing rules of the chart', () => {
  let cluster: Cluster;
  let upstream: Upstream;
  let images = 0;

  before(async () => {
    const flags = (CHART_DEFAULTS['share'] ?? []).flatMap((rule) => ['--share', rule]);
    assert.ok(flags.length > 0);
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name, flags })));
    upstream = await Upstream.start(await cluster.network.addHost('upstream'), USER);
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
  });
  after(async () => {
    await upstream[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  for (const holder of SUITES) {
    scenario(
      `pull no image without credentials that ${holder} has pulled with them, and no node names it`,
      () => cluster,
      async ({ nodes }) => {
        const name = `${upstream.registry}/team/image-${images++}:1.0`;
        const { image, layout } = await makeImage({ name, layers: LAYERS });
        await upstream.push(layout, image);
        await cluster.node(holder).containerd.pullWithCri(name, USER);
        const [layer = ''] = allPaths(image).filter((path) => path.includes('/blobs/'));
        for (const { name: receiver, agent, containerd } of nodes) {
          await waitFor('its layers are found', () => givesContent(agent, layer));
          assert.equal(await headStatus(agent, manifestPath(image)), 404);
          assert.equal(await headStatus(agent, manifestPath(image, image.target.digest)), 404);
          const named = await agent.fetchMetrics(`/debug/providers?key=${name}`);
          assert.deepEqual(((await named.json()) as { peers: unknown }).peers, []);
          for (const reference of [name, nameByDigest(image)]) {
            await assert.rejects(containerd.pullWithCri(reference), REFUSED, receiver);
          }
        }
        for (const { containerd } of nodes) await containerd.pullWithCri(name, USER);
        const gets = (await upstream.requests()).filter(
          ({ method, path }) => method === 'GET' && path.includes(`image-${images - 1}/blobs`),
        );
        const { address } = cluster.node(holder).host;
        assert.deepEqual(
          gets.filter(({ from }) => from !== address),
          [],
          'the layers come from the node that has them',
        );
        const outsider = await cluster.network.addHost(`out-${holder}`);
        for (const path of allPaths(image)) {
          for (const { host } of nodes) {
            const url = `http://${host.address}:${PORTS.registry}${path}`;
            const response = await outsider.fetch(url);
            await response.arrayBuffer();
            assert.equal(response.status, 404, path);
          }
        }
      },
    );

    scenario(
      `pull an image that was imported on ${holder}, by tag and digest, also when that node is gone`,
      () => cluster,
      async ({ nodes }) => {
        const name = `${REGISTRY}/imported/image-${images++}:1.0`;
        const fixture = await makeImage({ name, layers: LAYERS });
        const first = cluster.node(holder);
        const [second, third] = nodes.filter((node) => node !== first);
        assert.ok(second !== undefined && third !== undefined);
        await first.containerd.importArchive(fixture.archive);
        await isNamed(first, fixture);
        // As with the pull policy Always: from now on the image looks as if it was pulled.
        await first.containerd.pullWithCri(name);
        await first.agent.restart();
        await isNamed(second, fixture);
        await second.containerd.pullWithCri(name);
        await assertHoldsImage(second.containerd, fixture.image);
        await second.agent.restart();
        await first.agent.stop();
        try {
          await isNamed(third, fixture);
          for (const reference of [name, nameByDigest(fixture.image)]) {
            await third.containerd.pullWithCri(reference);
            await assertHoldsImage(third.containerd, fixture.image, reference);
            await third.containerd.removeImage();
          }
        } finally {
          await first.agent.restart();
        }
      },
    );
  }

  /** Waits until the mirror of the node says what tag and digest of the image mean. */
  async function isNamed({ agent }: ClusterNode, { image }: ImageFixture): Promise<void> {
    for (const path of [manifestPath(image), manifestPath(image, image.target.digest)]) {
      await waitFor(`${path} is named`, async () => (await headStatus(agent, path)) === 200);
    }
  }
});
