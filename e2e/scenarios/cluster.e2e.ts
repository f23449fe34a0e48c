import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { missing } from '../../scripts/chart/tools.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { buildAgentImage } from '../harness/agent-image.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { agentAt, bytesFromPeers, connectionsTo } from '../harness/kubernetes/agent-pod.ts';
import { HelmRelease } from '../harness/kubernetes/helm-release.ts';
import { KubeCluster } from '../harness/kubernetes/kube-cluster.ts';
import type { Machine } from '../harness/kubernetes/machine.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';

const reason = missing('helm');
if (reason !== undefined) {
  process.stderr.write(`cluster: SKIPPED: ${reason}. The chart was NOT tried on a cluster.\n`);
}

/** What the chart has by default. */
const HOST_PORT = 30020;
const NODE_PORT = 30021;
const METRICS_PORT = 9090;
const LAYER_BYTES = 24_000_000;

/** What `helm template` renders, on nodes without a kubelet: each scenario begins where the last one ended. */
suite('the chart on a cluster', { skip: reason ?? false }, () => {
  let cluster: KubeCluster;

  before(async () => {
    const image = await buildAgentImage(`localhost/peerglass:${packageJson.version}`);
    cluster = await KubeCluster.start({ suites: SUITES, archives: [image.archive] });
    for (const machine of cluster.machines) await configureByHand(machine);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'installed with default values, every pod becomes ready, and nodes pull from each other through their host ports',
    () => cluster,
    async ({ plane, machines }) => {
      const [holder, ...others] = machines;
      assert.ok(holder !== undefined);
      const { image, archive } = await makeImage({
        name: `${REGISTRY}/team/app:1.0`,
        layers: [
          { bytes: LAYER_BYTES, compression: 'none' },
          { bytes: 200_000, files: 20 },
        ],
      });
      for (const { containerd } of others) {
        await assert.rejects(containerd.pullWithCri(image.name), 'there is no such registry');
      }
      await HelmRelease.install(plane, {});
      const daemonSet = plane.daemonSet('test-peerglass');
      await daemonSet.rolledOut();
      assert.equal(daemonSet.pods.length, machines.length);
      await holder.containerd.importArchive(archive);
      for (const { name, containerd } of others) {
        const pod = daemonSet.podOn(name);
        const hosts = await readFile(join(containerd.certsDir, '_default/hosts.toml'), 'utf8');
        const ports = [...hosts.matchAll(/http:\/\/([^:]+):(\d+)/g)].map((it) => it.slice(1));
        const { address } = containerd.host;
        assert.deepEqual(
          ports,
          [HOST_PORT, NODE_PORT].map((port) => [address, `${port}`]),
        );
        await waitUntilVisible(agentAt(pod, HOST_PORT), image);
        const received = await bytesFromPeers(pod, METRICS_PORT);
        const connections = await connectionsTo(pod, HOST_PORT);
        await containerd.pullWithCri(image.name);
        await assertHoldsImage(containerd, image);
        assert.ok(
          (await bytesFromPeers(pod, METRICS_PORT)) - received >= LAYER_BYTES,
          'by its pod',
        );
        assert.ok((await connectionsTo(pod, HOST_PORT)) > connections, 'by its host port');
        assert.equal(await connectionsTo(pod, NODE_PORT), 0, 'not by a node port');
      }
    },
  );
});

/** What an administrator may have written before. */
async function configureByHand({ name, containerd }: Machine): Promise<void> {
  const certs = containerd.certsDir;
  if (name === 'forky') return;
  await mkdir(join(certs, 'internal.example.test'), { recursive: true });
  const file = join(certs, 'internal.example.test/hosts.toml');
  await writeFile(file, "server = 'https://internal.example.test'\n");
  await chmod(file, 0o640);
  await symlink('../../ca.crt', join(certs, 'internal.example.test/ca.crt'));
}
