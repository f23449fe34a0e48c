import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { controlGroups, processesInGroup } from '../harness/control-groups.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { nameByDigest, waitUntilVisible } from '../harness/mirror.ts';
import { PodCluster } from '../harness/pod-cluster.ts';
import { runName } from '../harness/run.ts';
import { scenario } from '../harness/scenario.ts';
import { SUITES } from '../harness/containerd-versions.ts';

/**
 * The image of `scripts/build-image` as pods on the real containerds, started over the CRI as the kubelet does, with
 * no more rights than the chart gives them.
 */
suite('the image, as a pod on every node', () => {
  let cluster: PodCluster;

  before(async () => {
    cluster = await PodCluster.start(SUITES);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    const left = controlGroups(runName()).flatMap(processesInGroup);
    assert.deepEqual(left, [], 'no process of a pod is left');
  });

  scenario(
    'runs without capabilities and new privileges, with a seccomp filter, on a read-only file system',
    () => cluster,
    async ({ agents }) => {
      for (const { node, container } of agents) {
        const status = await readFile(`/proc/${await container.pid()}/status`, 'utf8');
        const field = (name: string): string | undefined =>
          new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
        assert.equal(field('CapEff'), '0000000000000000', String(node));
        assert.equal(field('CapBnd'), '0000000000000000', String(node));
        assert.equal(field('NoNewPrivs'), '1', String(node));
        assert.equal(field('Seccomp'), '2', String(node));
        await assert.rejects(
          container.exec('/usr/bin/node', '-e', 'fs.writeFileSync("/tmp/x", "")'),
          /EROFS/,
        );
      }
    },
  );

  scenario(
    'has its command, its certificates, and moves bytes within the kernel',
    () => cluster,
    async ({ agents }) => {
      for (const { node, container } of agents) {
        assert.match(await container.exec('peerglass', 'version'), /^peerglass \d+\.\d+\.\d+/);
        const script = 'console.log(tls.getCACertificates("system").length)';
        assert.ok(Number(await container.exec('node', '-e', script)) > 100, String(node));
        const metrics = await node.host.fetch('http://127.0.0.1:9090/metrics');
        assert.match(await metrics.text(), /^peerglass_data_plane\{[^}]*kernel[^}]*\} 1$/m);
      }
    },
  );

  for (const holder of SUITES) {
    scenario(
      `an image imported into the containerd of ${holder} is pulled by the others through their pods`,
      () => cluster,
      async ({ agents }) => {
        const { image, archive } = await makeImage({
          name: `${REGISTRY}/team/${holder}:1.0`,
          layers: [
            { bytes: 24_000_000, compression: 'none' },
            { bytes: 200_000, files: 20 },
          ],
        });
        await cluster.agent(holder).node.importArchive(archive);
        for (const agent of agents.filter((it) => it !== cluster.agent(holder))) {
          await waitUntilVisible(agent, image);
          for (const reference of [image.name, nameByDigest(image)]) {
            await agent.node.pull('cri', reference);
            await assertHoldsImage(agent.node, image, reference);
            await agent.node.removeImage(reference);
          }
        }
      },
    );
  }

  scenario(
    'keeps running when its containerd restarts',
    () => cluster,
    async ({ agents }) => {
      const [agent, other] = agents;
      assert.ok(agent !== undefined && other !== undefined);
      await agent.node.restart();
      assert.ok(await agent.container.isRunning());
      const { image, archive } = await makeImage({ name: `${REGISTRY}/team/restart:1.0` });
      await agent.node.importArchive(archive);
      await waitUntilVisible(other, image, { timeoutMs: 60_000 });
      await other.node.pull('cri', image.name);
      await assertHoldsImage(other.node, image);
    },
  );

  scenario(
    'ends in order on SIGTERM, and has the same identity after a restart',
    () => cluster,
    async () => {
      const [suite] = SUITES;
      assert.ok(suite !== undefined);
      const { container, node } = cluster.agent(suite);
      const identity = await readFile(join(node.host.directory, 'agent', 'private.key'));
      const { exitCode } = await container.stop(20);
      assert.equal(exitCode, 0, await container.logs());
      const again = await cluster.replace(suite);
      await again.ready();
      const kept = await readFile(join(node.host.directory, 'agent', 'private.key'));
      assert.deepEqual(kept, identity);
    },
  );
});
