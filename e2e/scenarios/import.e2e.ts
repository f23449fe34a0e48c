import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { nameByDigest, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';

/**
 * The first promise: what `ctr image import` brought onto one node, every other one pulls, by tag and by
 * digest, with `ctr` and as the kubelet does, between all versions of containerd.
 */
suite('an imported image is pulled by the other nodes', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const holder of SUITES) {
    scenario(
      `an image imported into the containerd of ${holder} is pulled by tag and digest`,
      () => cluster,
      async ({ nodes }) => {
        const layers = [{ bytes: 3_000_000 }, { bytes: 200_000, files: 20 }];
        const { image, archive } = await makeImage({
          name: `${REGISTRY}/team/${holder}:1.0`,
          layers,
        });
        await cluster.node(holder).containerd.importArchive(archive);
        for (const receiver of nodes.filter((node) => node.name !== holder)) {
          await waitUntilVisible(receiver.agent, image);
          for (const reference of [image.name, nameByDigest(image)]) {
            for (const puller of ['ctr', 'cri'] as const) {
              await receiver.containerd.pull(puller, reference);
              await assertHoldsImage(receiver.containerd, image, reference);
              await forget(receiver);
            }
          }
          const hits = { registry: REGISTRY, cache: 'hit' };
          assert.ok((await receiver.agent.metric('spegel_mirror_requests_total', hits)) > 0);
        }
      },
    );
  }
});

/** Removes all content, so that the next pull fetches everything. */
async function forget({ containerd }: ClusterNode): Promise<void> {
  await containerd.removeImage();
  const left = await containerd.contentDigests();
  if (left.size > 0) throw new Error(`${String(containerd)} still holds ${left.size} blobs`);
}
