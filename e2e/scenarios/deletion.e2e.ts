import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, assertHead, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';

/** A pull that nobody can serve must fail within this time: a limit against hangs. */
const FAILURE_LIMIT_MS = 15_000;

suite('a deleted image is no longer offered', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const holder of SUITES) {
    scenario(
      `deleted from the containerd of ${holder}`,
      () => cluster,
      async ({ nodes }, t) => {
        const { image, archive } = await makeImage({ name: `${REGISTRY}/gone/${holder}:1.0` });
        const { agent, containerd } = cluster.node(holder);
        const receivers = nodes.filter((node) => node.name !== holder);
        await containerd.importArchive(archive);
        for (const receiver of receivers) await waitUntilVisible(receiver.agent, image);

        await containerd.removeImage(image.name);
        // The holder itself knows at once, so nobody who asks it can get anything any more.
        for (const path of allPaths(image)) await assertHead(agent, path, 404);
        for (const receiver of receivers) {
          const start = performance.now();
          for (const path of allPaths(image)) await assertHead(receiver.agent, path, 404);
          const mean = (performance.now() - start) / allPaths(image).length;
          t.diagnostic(`${receiver.name} answers 404 in ${mean.toFixed(1)} ms in the mean`);
          for (const puller of ['ctr', 'cri'] as const) {
            const pulled = performance.now();
            await assert.rejects(receiver.containerd.pull(puller, image.name));
            assert.ok(performance.now() - pulled < FAILURE_LIMIT_MS, `${puller} took too long`);
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
