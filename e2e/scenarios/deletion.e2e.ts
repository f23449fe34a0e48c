import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, assertHead, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

suite('a deleted image is no longer advertised', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const holder of SUITES) {
    scenario(
      `an image that the containerd of ${holder} deletes is answered with 404, and found again later`,
      () => cluster,
      async ({ nodes }, t) => {
        const { image, archive } = await makeImage({ name: `${REGISTRY}/gone/${holder}:1.0` });
        const { agent, containerd } = cluster.node(holder);
        const receivers = nodes.filter((node) => node.name !== holder);
        const recordsBefore = await Promise.all(receivers.map(settledRecords));
        await containerd.importArchive(archive);
        for (const receiver of receivers) await waitUntilVisible(receiver.agent, image);

        await containerd.removeImage(image.name);
        const removed = performance.now();
        await Promise.all(
          receivers.map(async (receiver, index) => {
            await waitFor(
              `${receiver.name} has no record of it any more`,
              // Fewer when records of the scenarios before vanish meanwhile.
              async () => (await recordsOf(receiver)) <= (recordsBefore[index] ?? 0),
              { everyMs: 10 },
            );
            const ms = Math.round(performance.now() - removed);
            t.diagnostic(`withdrawn from ${receiver.name} ${ms} ms after the end of the deletion`);
          }),
        );
        // The holder itself knows at once, so it serves the image to no client any more.
        for (const path of allPaths(image)) await assertHead(agent, path, 404);
        for (const receiver of receivers) {
          const start = performance.now();
          for (const path of allPaths(image)) await assertHead(receiver.agent, path, 404);
          const mean = (performance.now() - start) / allPaths(image).length;
          t.diagnostic(`${receiver.name} answers 404 in ${mean.toFixed(1)} ms in the mean`);
          for (const puller of ['ctr', 'cri'] as const) {
            // The mirror and the registry have both answered containerd. A pull that hangs ends with another error.
            const pull = receiver.containerd.pull(puller, image.name);
            await assert.rejects(pull, /failed to resolve/);
          }
        }

        // Records of the deletion must not stand in the way when the image comes back.
        await containerd.importArchive(archive);
        for (const receiver of receivers) {
          await waitUntilVisible(receiver.agent, image);
          await receiver.containerd.pullWithCri(image.name);
          await assertHoldsImage(receiver.containerd, image);
        }
      },
    );
  }
});

const recordsOf = ({ agent }: ClusterNode): Promise<number> =>
  agent.metric('peerglass_directory_records');

/** How many records the node keeps, once what the scenarios before have brought is all there. */
async function settledRecords(node: ClusterNode): Promise<number> {
  let last = -1;
  await waitFor(
    `the records of ${node.name} stay the same`,
    async () => {
      const before = last;
      last = await recordsOf(node);
      return last === before;
    },
    { everyMs: 1000 },
  );
  return last;
}
