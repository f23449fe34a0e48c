import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { SPEGEL_FILE } from '../../scripts/chart/matrix.ts';
import { toPush, type AgentImage } from '../harness/agent-image.ts';
import { makeImage } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { agentAt, bytesFromPeers } from '../harness/kubernetes/agent-pod.ts';
import { HelmRelease } from '../harness/kubernetes/helm-release.ts';
import type { KubeCluster } from '../harness/kubernetes/kube-cluster.ts';
import { nodeFiles } from '../harness/kubernetes/node-files.ts';
import { allPaths, assertHead, manifestPath, nameByDigest } from '../harness/mirror.ts';
import { makeExitImage } from '../harness/pause-image.ts';
import { runDirectory } from '../harness/run.ts';
import { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

/** What nodes must have for the file to apply to them. */
export const SPEGEL_LABELS = { 'example.org/mirror': 'true' };

/** The content of the file. */
const NODE_IP = '192.0.2.7';
const HOST_PORT = 31020;
const NODE_PORT = 31021;
const METRICS_PORT = 9190;
const NAMESPACE = 'moby';
const DOMAIN = 'example.internal';
const DAEMON_SET = 'image-mirror';
const EXTRA_IMAGE = 'registry.example/wait:1.0';
const KEPT = 'rest/var/lib/spegel';
const ANOTHER_MIRROR = 'http://192.0.2.8:5000';

/** What the Secret of `basicAuthSecretName` has. */
const USER = { username: 'mirror', password: 'pa:ss word' };
const SENT = {
  authorization: `Basic ${Buffer.from(`${USER.username}:${USER.password}`).toString('base64')}`,
};

const LAYER_BYTES = 8_000_000;

/** Makes of the cluster the one that the file was written for, installs with it, pulls and uninstalls. */
export async function trySpegelValues(cluster: KubeCluster, agent: AgentImage): Promise<void> {
  const { plane, machines } = cluster;
  plane.domain = DOMAIN;
  const wait = await makeExitImage(runDirectory(), EXTRA_IMAGE);
  // `pullPolicy: Always`: the image has to come from a registry, which the administrator has named.
  await using registry = await Upstream.start(await cluster.network.addHost('registry'));
  await registry.push(
    agent.layout,
    await toPush(agent, agent.name.replace('localhost', registry.registry)),
  );
  for (const { containerd } of machines) {
    await containerd.host.execute(['ip', 'address', 'add', `${NODE_IP}/32`, 'dev', 'lo']);
    await containerd.importArchive(wait);
    await writeHostsToml(containerd.certsDir, 'localhost', registry.origin, [registry.origin]);
  }
  const files = new Map(machines.map((machine) => [machine, nodeFiles(machine)]));

  plane.apply({
    kind: 'Secret',
    metadata: { name: 'mirror-users', namespace: 'mirrors' },
    stringData: USER,
  });
  const release = await HelmRelease.install(plane, SPEGEL_FILE);
  const daemonSet = plane.daemonSet(DAEMON_SET);
  await daemonSet.rolledOut();
  assert.equal(daemonSet.pods.length, machines.length);
  const asked = (await registry.requests()).filter(({ path }) => path.includes('/manifests/'));
  assert.ok(asked.length >= machines.length, 'the image was asked for at each node');

  const [holder, ...others] = machines;
  assert.ok(holder !== undefined);
  const layers = [{ bytes: LAYER_BYTES, compression: 'none' as const }];
  const shared = await makeImage({ name: 'docker.io/team/app:1.0', layers });
  const filtered = await makeImage({ name: 'docker.io/team/app:latest' });
  for (const { archive } of [shared, filtered]) {
    await holder.containerd.ctr('-n', NAMESPACE, 'image', 'import', archive);
  }
  for (const { name, containerd } of others) {
    const hosts = await readFile(join(containerd.certsDir, 'docker.io/hosts.toml'), 'utf8');
    assert.deepEqual(
      [...hosts.matchAll(/\[host\.['"](.+)['"]\]/g)].map((it) => it[1]),
      [`http://${NODE_IP}:${HOST_PORT}`, `http://${NODE_IP}:${NODE_PORT}`, ANOTHER_MIRROR],
    );
    const pod = daemonSet.podOn(name);
    const mirror = agentAt(pod, HOST_PORT, SENT);
    const [byTag = '', ...byDigest] = allPaths(shared.image);
    for (const path of byDigest) {
      await waitFor(`${name} finds ${path}`, async () => (await mirror.fetch(path)).ok);
    }
    await assertHead(mirror, byTag, 404);
    await assertHead(mirror, manifestPath(filtered.image), 404);
    await assertHead(agentAt(pod, HOST_PORT), manifestPath(shared.image), 401);
    const { mode } = await stat(join(containerd.certsDir, 'docker.io/hosts.toml'));
    assert.equal(mode & 0o777, 0o600, 'it has the credentials');
    const received = await bytesFromPeers(pod, METRICS_PORT);
    // The mirror does not resolve tags, and there is no registry.
    const skip = containerd.release.isV2 ? ['--skip-metadata'] : [];
    const words = ['image', 'pull', '--hosts-dir', containerd.certsDir, ...skip];
    const pull = ['-n', NAMESPACE, ...words] as const;
    await assert.rejects(containerd.ctr(...pull, shared.image.name), 'resolveTags: false');
    await containerd.ctr(...pull, nameByDigest(shared.image));
    for (const { digest } of shared.image.blobs) {
      assert.equal(await containerd.digestOfContent(digest), digest, name);
    }
    assert.ok((await bytesFromPeers(pod, METRICS_PORT)) - received >= LAYER_BYTES, name);
  }

  const [cleanup] = await release.uninstall();
  assert.ok(cleanup?.succeeded, cleanup?.logs);
  assert.deepEqual(plane.pods, []);
  for (const machine of machines) {
    // What persistence has kept may stay.
    const left = Object.entries(nodeFiles(machine)).filter(([path]) => !path.startsWith(KEPT));
    assert.deepEqual(Object.fromEntries(left), files.get(machine), machine.name);
  }
}
