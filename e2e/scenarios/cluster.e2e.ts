import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { missing } from '../../scripts/chart/tools.ts';
import { ALERTS } from '../../scripts/monitoring/alerts.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { anotherVersion, buildAgentImage, type AgentImage } from '../harness/agent-image.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { examine } from '../harness/doctor.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { panelQueries } from '../harness/grafana.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { agentAt, bytesFromPeers, connectionsTo } from '../harness/kubernetes/agent-pod.ts';
import { HelmRelease } from '../harness/kubernetes/helm-release.ts';
import { KubeCluster } from '../harness/kubernetes/kube-cluster.ts';
import type { Machine } from '../harness/kubernetes/machine.ts';
import { configureByHand, nodeFiles, type HandWritten } from '../harness/kubernetes/node-files.ts';
import { discoveredPods, scrapeConfigs } from '../harness/kubernetes/pod-monitor.ts';
import { waitUntilPullable } from '../harness/mirror.ts';
import { Prometheus } from '../harness/prometheus.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { watch } from '../harness/watch.ts';
import { SPEGEL_LABELS, trySpegelValues } from './spegel-values.ts';

const reason = missing('helm');
if (reason !== undefined) {
  process.stderr.write(`cluster: SKIPPED: ${reason}. The chart was NOT tried on a cluster.\n`);
}

/** What the chart has by default. */
const HOST_PORT = 30020;
/** Set by the upgrade: without a registry, containerd needs another agent while its own is replaced. */
const NODE_PORT = 30021;
const METRICS_PORT = 9090;
const LAYER_BYTES = 24_000_000;
const HAND_WRITTEN: readonly HandWritten[] = ['file', 'link', 'none'];
/** Tag of another version of the image. */
const NEXT = '0.2.0-test';
/** What the release is upgraded to, first without another image. */
const MONITORED = {
  service: { registry: { nodePort: NODE_PORT } },
  serviceMonitor: { interval: '1s', scrapeTimeout: '1s' },
  grafanaDashboard: { enabled: true },
  peerglass: {
    podMonitor: { enabled: true },
    prometheusRule: { enabled: true },
    // Shorter than the pull that is under way: its connections are cut.
    shutdownTimeout: '3s',
  },
};
/** Of the layer that is being pulled during an upgrade; at this rate it takes longer than that. */
const SLOW_LAYER_BYTES = 120_000_000;
const SLOW_MBIT = 12;
/** Pulls of new images until every panel has had something to show. */
const MOST_ROUNDS = 15;

/** What `helm template` renders, on nodes without a kubelet: each scenario begins where the last one ended. */
suite('the chart on a cluster', { skip: reason ?? false }, () => {
  let cluster: KubeCluster;
  let image: AgentImage;
  let release: HelmRelease;
  const trees = new Map<Machine, Record<string, string>>();

  before(async () => {
    image = await buildAgentImage(`localhost/peerglass:${packageJson.version}`);
    const next = await anotherVersion(image, `localhost/peerglass:${NEXT}`, `VERSION=${NEXT}`);
    const archives = [image.archive, next.archive];
    cluster = await KubeCluster.start({ suites: SUITES, archives, labels: SPEGEL_LABELS });
    for (const [index, machine] of cluster.machines.entries()) {
      await configureByHand(machine, HAND_WRITTEN[index] ?? 'none');
      trees.set(machine, nodeFiles(machine));
    }
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'makes every pod ready with default values, and nodes pull from each other through their host ports',
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
      release = await HelmRelease.install(plane, {});
      const daemonSet = plane.daemonSet('test-peerglass');
      await daemonSet.rolledOut();
      assert.equal(daemonSet.pods.length, machines.length);
      await holder.containerd.importArchive(archive);
      for (const { name, containerd } of others) {
        const pod = daemonSet.podOn(name);
        const hosts = await readFile(join(containerd.certsDir, '_default/hosts.toml'), 'utf8');
        const ports = [...hosts.matchAll(/http:\/\/([^:]+):(\d+)/g)].map((it) => it.slice(1));
        const { address } = containerd.host;
        assert.deepEqual(ports, [[address, `${HOST_PORT}`]]);
        await waitUntilPullable(agentAt(pod, HOST_PORT), image);
        const received = await bytesFromPeers(pod, METRICS_PORT);
        const connections = await connectionsTo(pod, HOST_PORT);
        await containerd.pullWithCri(image.name);
        await assertHoldsImage(containerd, image);
        assert.ok(
          (await bytesFromPeers(pod, METRICS_PORT)) - received >= LAYER_BYTES,
          'by its pod',
        );
        assert.ok((await connectionsTo(pod, HOST_PORT)) > connections, 'by its host port');
      }
    },
  );

  scenario(
    'upgrades the image by and by without a failed pull',
    () => cluster,
    async ({ plane, machines }) => {
      await release.upgrade(MONITORED);
      const daemonSet = plane.daemonSet('test-peerglass');
      await daemonSet.rolledOut();
      const [first, second, third] = machines;
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const slow = await makeImage({
        name: `${REGISTRY}/team/slow:1.0`,
        layers: [{ bytes: SLOW_LAYER_BYTES, compression: 'none' }],
      });
      const small = await makeImage({ name: `${REGISTRY}/team/small:1.0` });
      // Whatever is being replaced, one who has it is there.
      for (const { archive } of [slow, small]) await first.containerd.importArchive(archive);
      await second.containerd.importArchive(slow.archive);
      await third.containerd.importArchive(small.archive);
      await waitUntilPullable(agentAt(daemonSet.podOn(third.name), HOST_PORT), slow.image);
      await waitUntilPullable(agentAt(daemonSet.podOn(second.name), HOST_PORT), small.image);

      const old = daemonSet.pods;
      await third.containerd.host.limitDownload(SLOW_MBIT);
      const pull = watch(third.containerd.pullWithCri(slow.image.name));
      await waitFor('the pull has begun', async () => (await third.containerd.bytesIngested()) > 0);
      const upgrade = watch(
        release.upgrade({ ...MONITORED, image: { tag: NEXT } }).then(() => daemonSet.rolledOut()),
      );
      let pulls = 0;
      for (; upgrade.pending; pulls += 1) {
        await second.containerd.pullWithCri(small.image.name);
        await second.containerd.removeImage(small.image.name);
      }
      await upgrade.result;
      assert.ok(pulls > 3, `${pulls} pulls of other images`);
      for (const pod of daemonSet.pods) {
        assert.ok(!old.includes(pod), 'another pod');
        const version = await pod.container().current.exec('node', '-p', 'process.env.VERSION');
        assert.equal(version.trim(), NEXT, pod.init.name);
        assert.equal(pod.container().restartCount, 0, pod.init.name);
      }
      assert.ok(pull.pending, 'the pull is still under way');
      await third.containerd.host.limitDownload(undefined);
      await pull.result;
      await assertHoldsImage(third.containerd, slow.image);
    },
  );

  scenario(
    'passes `helm test` and the doctor, which both find a broken node',
    () => cluster,
    async ({ plane, machines }) => {
      const daemonSet = plane.daemonSet('test-peerglass');
      const flags = (machine: Machine): string[] => [
        `--metrics-addr=${daemonSet.podOn(machine.name).address}:${METRICS_PORT}`,
        ...[HOST_PORT, NODE_PORT].map(
          (port) => `--mirror-targets=http://${machine.containerd.host.address}:${port}`,
        ),
      ];
      const diagnose = (machine: Machine): ReturnType<typeof examine> =>
        examine(machine.containerd.seenFromInside(), flags(machine));
      for (const machine of machines) {
        for (const run of await release.test(machine.name)) {
          assert.ok(run.succeeded, `${machine.name}: ${run.logs}`);
        }
        const { code, findings } = await diagnose(machine);
        assert.deepEqual([code, findings], [0, []], machine.name);
      }
      const broken = machines[1];
      assert.ok(broken !== undefined);
      // containerd prefers a folder of the registry to _default.
      const folder = join(broken.containerd.certsDir, 'docker.io');
      await mkdir(folder);
      await writeFile(join(folder, 'hosts.toml'), "server = 'https://registry-1.docker.io'\n");
      const [run] = await release.test(broken.name);
      assert.ok(run?.succeeded === false, 'the test fails');
      assert.match(run.logs, /docker\.io/);
      assert.equal((await diagnose(broken)).code, 1);
      await rm(folder, { recursive: true });
      const [again] = await release.test(broken.name);
      assert.ok(again?.succeeded, again?.logs);
    },
  );

  scenario(
    'gives Prometheus its targets, rules, and data for every panel',
    () => cluster,
    async ({ plane, machines }) => {
      const [monitor] = release.objects('PodMonitor');
      const [rule] = release.objects('PrometheusRule');
      const [dashboard] = release.objects('ConfigMap');
      assert.ok(monitor !== undefined && rule !== undefined && dashboard !== undefined);
      const host = await cluster.addHost('prometheus');
      const file = join(host.directory, 'pods.json');
      await writeFile(file, JSON.stringify(discoveredPods(plane.pods)));
      const { groups } = rule.spec as { groups: readonly { rules: readonly unknown[] }[] };
      const prometheus = await Prometheus.start({
        host,
        scrapeConfigs: scrapeConfigs(monitor, file),
        targets: machines.length,
        rules: groups.flatMap(({ rules }) => rules),
      });
      const { pods } = plane.daemonSet('test-peerglass');
      assert.deepEqual(
        (await prometheus.labels('up == 1')).map(({ pod }) => pod).sort(),
        pods.map(({ init }) => init.name).sort(),
      );
      const rules = await waitFor('all rules have been looked at', async () => {
        const found = await prometheus.rules();
        return found.every(({ health }) => health !== 'unknown') && found;
      });
      assert.deepEqual(
        rules.map(({ name, health, lastError }) => [name, health, lastError]),
        Object.keys(ALERTS).map((name) => [name, 'ok', undefined]),
      );
      const empty = panelQueries(dashboard.data?.['peerglass.json'] ?? '');
      assert.ok(empty.size > 10, `${empty.size} panels`);
      for (let round = 1; round <= MOST_ROUNDS && empty.size > 0; round += 1) {
        await pullSomethingNew(cluster, round);
        for (const [title, queries] of empty) {
          const values = await Promise.all(queries.map((query) => prometheus.query(query)));
          if (values.flat().some(Number.isFinite)) empty.delete(title);
        }
      }
      assert.deepEqual([...empty.keys()], []);
    },
  );

  scenario(
    'restores the files of every node when it is uninstalled',
    () => cluster,
    async ({ plane, machines }) => {
      for (const machine of machines) {
        assert.notDeepEqual(nodeFiles(machine), trees.get(machine), machine.name);
      }
      const [wait, ...more] = await release.uninstall();
      assert.deepEqual(more, []);
      assert.ok(wait?.succeeded, wait?.logs);
      assert.match(wait.logs, new RegExp(`"nodes":${machines.length}`));
      assert.deepEqual(plane.pods, []);
      for (const machine of machines) {
        assert.deepEqual(nodeFiles(machine), trees.get(machine), machine.name);
      }
    },
  );

  scenario(
    "works with an unchanged values file of Spegel's, and restores the nodes afterwards",
    () => cluster,
    (it) => trySpegelValues(it, image),
  );
});

/** Imports an image into the first node, and pulls it on the second. */
async function pullSomethingNew({ plane, machines }: KubeCluster, round: number): Promise<void> {
  const [holder, asker] = machines;
  assert.ok(holder !== undefined && asker !== undefined);
  const name = `${REGISTRY}/watched/app:${round}.0`;
  const { image, archive } = await makeImage({ name, layers: [{ bytes: 3_000_000 }] });
  await holder.containerd.importArchive(archive);
  const pod = plane.daemonSet('test-peerglass').podOn(asker.name);
  await waitUntilPullable(agentAt(pod, HOST_PORT), image);
  await asker.containerd.pullWithCri(name);
  // Content that no node holds, so that the arbiter is asked.
  const unknown = `sha256:${String(round).padStart(64, '0')}`;
  const path = `/v2/watched/app/blobs/${unknown}?ns=${REGISTRY}`;
  assert.equal((await agentAt(pod, HOST_PORT).fetch(path)).status, 404);
}
