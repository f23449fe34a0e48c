import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SUBCOMMANDS } from '../../../agent/config/subcommands.ts';
import { template } from '../helm.ts';
import { podSpecs } from '../manifest.ts';
import { agent, agentWith, find, render, skip } from './render.ts';

describe('the pods of the chart', { skip }, () => {
  it('gives only one container access to the Kubernetes API, and only to nodes', async () => {
    const manifests = await render('startup taint');
    const pod = find(manifests, 'DaemonSet').spec.template.spec;
    const [registry, remover, ...more] = pod.containers;
    assert.ok(remover !== undefined && more.length === 0);
    assert.deepEqual(remover.args, [
      'startup-taint',
      '--taint-key=example.com/no-mirror',
      '--metrics-addr=127.0.0.1:9090',
      '--log-level=DEBUG',
    ]);
    assert.deepEqual(remover.env?.find(({ name }) => name === 'NODE_NAME')?.valueFrom, {
      fieldRef: { fieldPath: 'spec.nodeName' },
    });
    const fallback = SUBCOMMANDS['startup-taint'].options['service-account'].fallback;
    assert.deepEqual(remover.volumeMounts, [
      { name: 'service-account', mountPath: fallback, readOnly: true },
    ]);
    assert.equal(remover.securityContext['runAsNonRoot'], true);
    for (const { volumeMounts = [] } of [registry, ...(pod.initContainers ?? [])]) {
      assert.ok(volumeMounts.every(({ name }) => name !== 'service-account'));
    }
    const name = 'peerglass-test-peerglass-startup-taint';
    assert.deepEqual(find(manifests, 'ClusterRole', name).rules, [
      { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] },
    ]);
    assert.deepEqual(find(manifests, 'ClusterRoleBinding', name).subjects, [
      { kind: 'ServiceAccount', name: pod.serviceAccountName, namespace: 'peerglass' },
    ]);
  });

  it('tolerates the startup taint, and lets its removal out', async () => {
    const manifests = await render('startup taint');
    for (const { spec } of podSpecs(manifests)) {
      assert.deepEqual(spec.tolerations, [{ key: 'example.com/no-mirror', operator: 'Exists' }]);
    }
    const { egress } = find(manifests, 'NetworkPolicy').spec as unknown as { egress: unknown[] };
    assert.deepEqual(egress.at(-1), {
      ports: [{ port: 6443, protocol: 'TCP' }],
      to: [{ ipBlock: { cidr: '192.0.2.1/32' } }],
    });
    const { registry } = await agent('defaults');
    const [pod] = podSpecs(await render('defaults'));
    assert.equal(pod?.spec.containers.length, 1, registry.name);
    assert.ok(pod.spec.volumes?.every(({ name }) => name !== 'service-account'));
  });

  it('admits containerd and helm test through a restricted network policy', async () => {
    const manifests = await render('everything optional');
    const { ingress } = find(manifests, 'NetworkPolicy').spec as unknown as {
      ingress: { from?: object[]; ports: { port: number }[] }[];
    };
    // The test is on the network of a node, and a policy never keeps a node from its own pods: from the metrics here.
    const { spec } = find(manifests, 'Pod', 'test-peerglass-doctor');
    assert.deepEqual([spec.hostNetwork, spec.dnsPolicy], [true, 'ClusterFirstWithHostNet']);
    const ofNodes = ingress.filter(({ from = [] }) =>
      JSON.stringify(from).includes('192.0.2.0/24'),
    );
    assert.deepEqual(
      ofNodes.flatMap(({ ports }) => ports.map(({ port }) => port)),
      [5002, 5000],
    );
  });

  for (const [memory, heap] of [
    ['256Mi', 128],
    ['1Gi', 512],
    ['1.5Gi', 768],
    ['300M', 143],
    [134_217_728, 64],
  ] as const) {
    it(`limits the heap to half of ${memory}`, async () => {
      const { env } = await agentWith({ resources: { limits: { memory } } });
      const options = env?.find(({ name }) => name === 'NODE_OPTIONS');
      assert.equal(options?.value, `--max-old-space-size=${heap}`);
    });
  }

  it('does not limit the heap without a memory limit', async () => {
    const { registry } = await agent('no limits');
    assert.equal(
      registry.env?.find(({ name }) => name === 'NODE_OPTIONS'),
      undefined,
    );
  });

  for (const [preset, socket, store] of [
    ['k3s', '/run/k3s/containerd', '/var/lib/rancher/k3s/agent/'],
    ['rke2', '/run/k3s/containerd', '/var/lib/rancher/rke2/agent/'],
    ['k0s', '/run/k0s', '/var/lib/k0s/'],
    ['microk8s', '/var/snap/microk8s/common/run', '/var/snap/microk8s/'],
  ] as const) {
    it(`uses the containerd of ${preset}`, async () => {
      const { init, registry } = await agent(preset);
      const args = registry.args ?? [];
      assert.ok(args.some((it) => it.startsWith(`--containerd-sock=${socket}/containerd.sock`)));
      assert.ok(args.some((it) => it.startsWith(`--containerd-content-path=${store}`)));
      const [containerd, content] = registry.volumeMounts ?? [];
      assert.deepEqual(containerd, { name: 'containerd', mountPath: socket, readOnly: true });
      assert.ok(content?.mountPath.startsWith(store) === true && content.readOnly === true);
      const configurer = init[0] ?? registry;
      const mount = configurer.volumeMounts?.find(({ name }) => name === 'registry-config');
      const path = mount?.mountPath ?? '';
      assert.match(path, new RegExp(`${preset}(/|$)`));
      assert.ok(configurer.args?.includes(`--containerd-registry-config-path=${path}/certs.d`));
    });
  }

  for (const [hostPath, parent, given] of [
    ['/var/lib/peerglass', '/var/lib', '/node/var/lib/peerglass'],
    ['/var/lib/peerglass/', '/var/lib', '/node/var/lib/peerglass'],
    // The root of the node is not mounted, so the empty folder stays.
    ['/peerglass', '/peerglass', '/node/peerglass'],
  ] as const) {
    it(`removes the data in ${hostPath}`, async () => {
      const values = { spegel: { persistence: { enabled: true, hostPath } } };
      const cleanup = find(await template(values, '1.37'), 'DaemonSet', 'test-peerglass-cleanup');
      const { containers, volumes } = cleanup.spec.template.spec;
      assert.ok(containers[0].args?.includes(`--data-dir=${given}`));
      assert.deepEqual(containers[0].volumeMounts?.at(-1), {
        name: 'data',
        mountPath: `/node${parent}`,
      });
      assert.deepEqual(volumes?.at(-1), {
        name: 'data',
        hostPath: { path: parent, type: 'DirectoryOrCreate' },
      });
    });
  }

  for (const [given, mounted] of [
    ['', '/etc/containerd'],
    ['/opt/certs.d/', '/opt'],
    ['/certs.d', '/certs.d'],
  ] as const) {
    it(`mounts the parent of certs.d, so that certs.d can be removed: ${given}`, async () => {
      const values = { peerglass: { containerdRegistryConfigPath: given } };
      const manifests = await template(values, '1.37');
      for (const name of ['test-peerglass', 'test-peerglass-cleanup']) {
        const { volumes } = find(manifests, 'DaemonSet', name).spec.template.spec;
        assert.deepEqual(
          volumes?.find((it) => it.name === 'registry-config'),
          { name: 'registry-config', hostPath: { path: mounted, type: 'DirectoryOrCreate' } },
        );
      }
    });
  }

  it('bounds the wait for the clean-up, also that of a pod that never starts', async () => {
    for (const [given, wait, deadline] of [
      // Helm waits for 300 s, and so still says that the Job failed.
      [undefined, 240, 285],
      [600, 600, 645],
    ]) {
      const values = { peerglass: given === undefined ? {} : { cleanupTimeoutSeconds: given } };
      const job = find(await template(values, '1.37'), 'Job', 'test-peerglass-cleanup-wait').spec;
      assert.equal(job.activeDeadlineSeconds, deadline);
      assert.ok(job.template.spec.containers[0].args?.includes(`--wait-timeout=${wait}s`));
    }
  });

  it('waits for the clean-up as an unprivileged user, whatever user the agents have', async () => {
    // The kubelet starts no container that is root and runAsNonRoot. `helm uninstall` would then wait until its timeout.
    const values = { securityContext: { runAsUser: 0, runAsGroup: 0, runAsNonRoot: false } };
    const manifests = await template(values, '1.37');
    const job = find(manifests, 'Job', 'test-peerglass-cleanup-wait').spec.template.spec;
    const [{ securityContext }] = job.containers;
    assert.deepEqual(
      ['runAsUser', 'runAsGroup', 'runAsNonRoot'].map((key) => securityContext[key]),
      [65_532, 65_532, true],
    );
  });
});
