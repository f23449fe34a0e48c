import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { allPaths, headStatus } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';
import type { BuiltImage } from '../images/image.ts';

/** What each node holds already: a thousand keys to keep announced. */
const OTHER_LAYERS = Array.from({ length: 1000 }, () => ({ bytes: 100 }));

const LAYERS = [{ bytes: 20_000_000 }, { bytes: 5_000_000 }, { bytes: 100_000 }];

/**
 * Prints how long after its arrival on one node the others find an image. The test asserts only that they find it. A time
 * below zero means that they found it before the command that brought it had ended.
 */
suite('other nodes soon find new content', () => {
  let cluster: Cluster;
  let upstream: Upstream;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    upstream = await cluster.addUpstream();
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
    await Promise.all(cluster.nodes.map(bringOthers));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const holder of SUITES) {
    for (const how of ['import', 'ctr', 'cri'] as const) {
      scenario(
        `other nodes find an image that the containerd of ${holder} ${how === 'import' ? 'imported' : `pulled with ${how}`}`,
        () => cluster,
        async ({ nodes }, t) => {
          const name = `${upstream.registry}/visible/${how}-${holder}:1.0`;
          const { image, archive, layout } = await makeImage({ name, layers: LAYERS });
          const { containerd } = cluster.node(holder);
          if (how !== 'import') await upstream.push(layout, image);
          const end =
            how === 'import' ? containerd.importArchive(archive) : containerd.pull(how, name);
          const ended = end.then(() => performance.now());
          const receivers = nodes.filter((node) => node.name !== holder);
          const seen = await Promise.all(receivers.map((node) => watch(node, image)));
          for (const [index, { tag, last }] of seen.entries()) {
            const [tagMs, lastMs] = [tag - (await ended), last - (await ended)].map(Math.round);
            t.diagnostic(
              `${how} on ${String(containerd)}, seen from ${receivers[index]?.name ?? ''}: ` +
                `tag ${tagMs} ms, all digests ${lastMs} ms after its end`,
            );
          }
        },
      );
    }
  }
});

async function bringOthers({ containerd, agent, name }: ClusterNode): Promise<void> {
  const { archive } = await makeImage({
    name: `${REGISTRY}/other/${name}:1`,
    layers: OTHER_LAYERS,
  });
  // Not unpacked: no file system is laid over a thousand others.
  await containerd.importArchive(archive, '--no-unpack');
  await waitFor(
    `${name} announces a thousand keys`,
    async () => (await agent.metric('peerglass_advertised_keys')) >= OTHER_LAYERS.length,
    { timeoutMs: 60_000 },
  );
}

/** When the tag, and when all content of a pull, was first found through the node's agent. */
async function watch(
  { agent, name }: ClusterNode,
  image: BuiltImage,
): Promise<{ tag: number; last: number }> {
  // Side by side: one after the other, the questions themselves would take longer than what is measured.
  const times = await Promise.all(
    allPaths(image).map(async (path) => {
      const what = `${name} finds ${path}`;
      await waitFor(what, async () => (await headStatus(agent, path)) === 200, { everyMs: 10 });
      return performance.now();
    }),
  );
  return { tag: times[0] ?? NaN, last: Math.max(...times) };
}
