import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { parse } from 'yaml';

import type { OptionTable } from '../../agent/config/options.ts';
import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';
import { CHART } from './generate.ts';
import { helm, runTool, template } from './helm.ts';
import { type Container, type Manifest, podSpecs, splitFlag } from './manifest.ts';
import { ALL_OPTIONS, MATRIX, REGISTRIES } from './matrix.ts';
import { flagTable, NOT_VALUES } from './option-values.ts';
import { missing, TOOLS } from './tools.ts';
import { readValues } from './values-file.ts';

/** The oldest and the newest Kubernetes that the chart is for. */
const KUBERNETES = ['1.25', '1.37'];
/** API groups of custom resources. */
const CUSTOM = /^(monitoring\.coreos\.com|autoscaling\.k8s\.io|grafana\.integreatly\.org)\//;
/** Kinds of RBAC. */
const RIGHTS = /^(Cluster)?Role(Binding)?$/;

const reason = missing('helm');
const skip = reason ?? false;
if (reason !== undefined) {
  process.stderr.write(`chart: SKIPPED: ${reason}. The chart was NOT tested.\n`);
}

const folder = mkdtempSync(join(tmpdir(), 'peerglass-chart-'));
after(() => {
  rmSync(folder, { recursive: true });
});

/** Cache of rendered manifests. */
const rendered = new Map<string, Promise<Manifest[]>>();
function render(name: string, kubernetes = '1.37'): Promise<Manifest[]> {
  const key = `${name} ${kubernetes}`;
  const manifests = rendered.get(key) ?? template(MATRIX[name], kubernetes);
  rendered.set(key, manifests);
  return manifests;
}

/** The object with this kind and name, of which there must be exactly one. */
function find(manifests: readonly Manifest[], kind: string, name = 'test-peerglass'): Manifest {
  const [found, ...more] = manifests.filter((it) => it.kind === kind && it.metadata.name === name);
  assert.ok(found !== undefined && more.length === 0, `${kind} ${name}`);
  return found;
}

async function agent(name: string): Promise<{ init: readonly Container[]; registry: Container }> {
  const pod = find(await render(name), 'DaemonSet').spec.template.spec;
  return { init: pod.initContainers ?? [], registry: pod.containers[0] };
}

/** The agent's container with values that are not in the matrix. */
async function agentWith(values: unknown): Promise<Container> {
  return find(await template(values, '1.37'), 'DaemonSet').spec.template.spec.containers[0];
}

function setNull(values: Record<string, unknown>, [name = '', ...rest]: readonly string[]): void {
  if (rest.length === 0) {
    values[name] = null;
    return;
  }
  const inner = { ...(values[name] as Record<string, unknown> | undefined) };
  setNull(inner, rest);
  values[name] = inner;
}

describe('the chart', { skip }, () => {
  it('passes helm lint --strict', async () => {
    await helm(['lint', '--strict', '--kube-version', '1.37', CHART]);
  });

  for (const kubernetes of KUBERNETES) {
    it(
      `renders valid objects of Kubernetes ${kubernetes} for all values of the matrix`,
      { skip: missing('kubernetesValidate') ?? false },
      async () => {
        const files: string[] = [];
        for (const name of Object.keys(MATRIX)) {
          const manifests = await render(name, kubernetes);
          const own = manifests.filter(({ apiVersion }) => !CUSTOM.test(apiVersion));
          const file = join(folder, `${name.replaceAll(/\W/g, '-')}-${kubernetes}.yaml`);
          writeFileSync(file, own.map((manifest) => JSON.stringify(manifest)).join('\n---\n'));
          files.push(file);
        }
        const args = ['-k', kubernetes, '--strict', '--quiet', ...files];
        await runTool(TOOLS.kubernetesValidate, args, '');
      },
    );
  }

  for (const name of Object.keys(MATRIX)) {
    it(`passes arguments that the agent accepts: ${name}`, async () => {
      for (const { spec } of podSpecs(await render(name))) {
        for (const { args } of [...(spec.initContainers ?? []), ...spec.containers]) {
          const [subcommand = '', ...flags] = args ?? [];
          if (!(subcommand in SUBCOMMANDS)) continue;
          const table: OptionTable = SUBCOMMANDS[subcommand as keyof typeof SUBCOMMANDS].options;
          for (const { flag, value } of flags.map(splitFlag)) {
            const option = table[flag];
            assert.ok(option !== undefined, `${subcommand} ${flag}`);
            option.kind.parse([value]);
          }
        }
      }
    });

    it(`follows Pod Security "restricted", except for root: ${name}`, async () => {
      const manifests = await render(name);
      for (const { kind, spec } of podSpecs(manifests)) {
        assert.equal(spec.automountServiceAccountToken, false);
        assert.equal(spec.hostPID ?? spec.hostIPC ?? false, false);
        assert.deepEqual(spec.securityContext['seccompProfile'], { type: 'RuntimeDefault' });
        const ours = [...(spec.initContainers ?? []), ...spec.containers];
        for (const { name: container, securityContext } of ours) {
          if (container === 'wait') continue; // an init container of the user's own
          assert.equal(securityContext['privileged'], false);
          assert.equal(securityContext['allowPrivilegeEscalation'], false);
          assert.deepEqual(securityContext['capabilities'], { drop: ['ALL'] });
        }
        if (kind === 'Job') {
          assert.equal(spec.securityContext['runAsNonRoot'], true);
          assert.equal(spec.volumes, undefined);
        }
      }
      assert.deepEqual(
        manifests.filter(({ kind }) => RIGHTS.test(kind)).map(({ kind }) => kind),
        name === 'startup taint' ? ['ClusterRole', 'ClusterRoleBinding'] : [],
        'unneeded permissions',
      );
    });

    it(`cleans up its configuration on the same nodes: ${name}`, async () => {
      const manifests = await render(name);
      const [main, cleanup] = manifests
        .filter(({ kind }) => kind === 'DaemonSet')
        .map(({ spec }) => spec.template.spec);
      assert.ok(main !== undefined);
      // With `peerglass.configure` the agent itself writes the configuration.
      const configuration = [...(main.initContainers ?? []), ...main.containers].find(
        ({ volumeMounts = [] }) => volumeMounts.some((it) => it.name === 'registry-config'),
      );
      if (configuration === undefined || cleanup === undefined) {
        assert.equal(configuration, cleanup);
        return;
      }
      for (const field of [
        'nodeSelector',
        'affinity',
        'tolerations',
        'imagePullSecrets',
      ] as const) {
        assert.deepEqual(cleanup[field], main[field], field);
      }
      const [container] = cleanup.containers;
      const configMounts = (it: Container): unknown =>
        it.volumeMounts?.filter(({ name: mount }) => mount === 'registry-config');
      assert.deepEqual(configMounts(container), configMounts(configuration));
      const path = (it: Container): string | undefined =>
        it.args?.find((arg) => arg.startsWith('--containerd-registry-config-path='));
      assert.equal(path(container), path(configuration));
    });

    it(`excludes hooks from the Services of the agents: ${name}`, async () => {
      const manifests = await render(name);
      const services = manifests.filter(({ kind }) => kind === 'Service');
      for (const { manifest, labels } of podSpecs(manifests)) {
        const hook = manifest.metadata.annotations?.['helm.sh/hook'] !== undefined;
        for (const { metadata, spec } of services) {
          const selector = Object.entries(spec.selector);
          const selected = selector.every(([key, value]) => labels[key] === value);
          const cleanup = metadata.name.endsWith('-cleanup');
          const expected = cleanup ? manifest.metadata.name === metadata.name : !hook;
          assert.equal(selected, expected, `${manifest.metadata.name} behind ${metadata.name}`);
        }
      }
    });
  }

  it('passes every option of the agent to the subcommands that have it', async () => {
    for (const configure of [true, false]) {
      const name = configure ? 'every option, configured by the agent' : 'every option';
      const { init, registry } = await agent(name);
      const cleanup = find(await render(name), 'DaemonSet', 'test-peerglass-cleanup');
      const containers = [registry, ...init, ...cleanup.spec.template.spec.containers];
      // Without `configure` an init container writes the configuration.
      assert.equal(init.length, configure ? 0 : 1);
      const doctor = find(await render(name), 'Pod', 'test-peerglass-doctor').spec.containers[0];
      for (const { args = [] } of [...containers, doctor]) {
        const [subcommand = '', ...flags] = args;
        const given = flags.map(splitFlag);
        for (const [flag, option] of Object.entries(flagTable()[subcommand] ?? {})) {
          const sample = option === 'configure' ? configure : ALL_OPTIONS[option];
          assert.deepEqual(
            given.filter((it) => it.flag === flag).map(({ value }) => value),
            (Array.isArray(sample) ? sample : [sample]).map(String),
            `${subcommand} ${flag}`,
          );
        }
      }
    }
  });

  it('lets the agent write the configuration again that k3s and RKE2 rewrite', async () => {
    for (const preset of ['k3s', 'rke2']) {
      const { init, registry } = await agent(preset);
      assert.deepEqual(init, []);
      const { args = [] } = registry;
      assert.ok(args.includes('--configure=true'));
      // Otherwise a running agent would write again what `helm uninstall` removes.
      assert.ok(args.includes('--configure-remove-on-exit=true'));
      assert.ok(args.includes('--mirror-targets=http://$(NODE_IP):30020'));
      assert.ok(registry.volumeMounts?.some(({ name }) => name === 'registry-config'));
    }
    const { init, registry } = await agent('containerd left alone');
    assert.deepEqual(init, []);
    assert.ok(registry.args?.every((arg) => !/configure|mirror-targets/.test(arg)));
    assert.ok(registry.volumeMounts?.every(({ name }) => name !== 'registry-config'));
  });

  it('adds the labels of the user to every object, and prefers those of the object itself', async () => {
    // A duplicate label is not valid YAML, so rendering would fail.
    for (const { kind, metadata } of await render('labels that collide')) {
      const own = metadata.annotations?.['helm.sh/hook'] === 'test';
      if (own) continue;
      assert.equal(metadata.labels?.['team'], 'a', `${kind} ${metadata.name}`);
      assert.match(metadata.labels['app.kubernetes.io/name'] ?? '', /^peerglass/);
      const monitoring = /Monitor$|Rule$/.test(kind) ? 'prometheus' : 'x';
      const release = kind === 'ConfigMap' ? 'grafana' : monitoring;
      assert.equal(metadata.labels['release'], release, `${kind} ${metadata.name}`);
    }
  });

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

  it('admits the requests of helm test through a restricted network policy', async () => {
    // The policy lists nodes and readers of metrics, and the pod of the test is neither.
    const manifests = await render('everything optional');
    const { ingress } = find(manifests, 'NetworkPolicy').spec as unknown as {
      ingress: { from?: { podSelector?: { matchLabels: object } }[]; ports: { port: number }[] }[];
    };
    const { labels = {} } = find(manifests, 'Pod', 'test-peerglass-doctor').metadata;
    const rules = ingress.filter(({ from = [] }) =>
      from.some(({ podSelector }) =>
        Object.entries(podSelector?.matchLabels ?? { none: '' }).every(
          ([key, value]) => labels[key] === value,
        ),
      ),
    );
    assert.deepEqual(
      rules.flatMap(({ ports }) => ports.map(({ port }) => port)),
      [9090, 5000],
    );
  });

  it('has a sample value for every option', () => {
    assert.ok(Object.keys(ALL_OPTIONS).length > 30);
    for (const name of Object.keys(ALL_OPTIONS)) assert.ok(!(name in NOT_VALUES), name);
  });

  it('treats lists and maps that are null as empty', async () => {
    const enabled = { enabled: true };
    const values: Record<string, unknown> = {
      networkPolicy: enabled,
      serviceMonitor: enabled,
      grafanaDashboard: enabled,
      verticalPodAutoscaler: enabled,
      peerglass: { podMonitor: enabled, prometheusRule: enabled, startupTaint: enabled },
    };
    const rows = readValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
    const nulled = rows.filter(({ type }) => type === 'list' || type === 'object');
    assert.ok(nulled.length > 30);
    for (const { path } of nulled) setNull(values, path);
    const manifests = await template(values, '1.37');
    assert.ok(manifests.some(({ kind }) => kind === 'PrometheusRule'));
  });

  it('passes no options that are not set', async () => {
    const { init, registry } = await agent('defaults');
    assert.deepEqual(registry.args, [
      'registry',
      '--registry-addr=:5000',
      '--router-addr=:5001',
      '--metrics-addr=:9090',
      '--data-dir=/var/lib/peerglass',
      '--shutdown-delay=3s',
      '--bootstrap-kind=dns',
      '--dns-bootstrap-domain=test-peerglass-bootstrap.peerglass.svc.cluster.local.',
    ]);
    assert.deepEqual(init[0]?.args, [
      'configuration',
      '--mirror-targets=http://$(NODE_IP):30020',
      '--mirror-targets=http://$(NODE_IP):30021',
    ]);
  });

  for (const [name, targets] of [
    ['host port only', ['http://$(NODE_IP):30020']],
    ['host port on loopback', ['http://127.0.0.1:30020', 'http://$(NODE_IP):30021']],
    ['NodePort only', ['http://$(NODE_IP):30021']],
    ['network of the node', ['http://127.0.0.1:5000']],
    ['TLS', ['https://$(NODE_IP):30020', 'https://$(NODE_IP):30021']],
    ['IPv6 first', ['http://[$(NODE_IP)]:30020', 'http://[$(NODE_IP)]:30021']],
  ] as const) {
    it(`configures the address of the mirror in containerd: ${name}`, async () => {
      const [configuration] = (await agent(name)).init;
      const given = configuration?.args?.map(splitFlag) ?? [];
      assert.deepEqual(
        given.filter(({ flag }) => flag === 'mirror-targets').map(({ raw }) => raw),
        targets,
      );
    });
  }

  it('opens the ports that it configures', async () => {
    const port = (it: Container): Record<string, unknown> | undefined => it.ports?.[0];
    assert.equal(port((await agent('defaults')).registry)?.['hostPort'], 30020);
    assert.equal(port((await agent('NodePort only')).registry)?.['hostPort'], undefined);
    assert.equal(port((await agent('host port on loopback')).registry)?.['hostIP'], '127.0.0.1');
    const service = async (name: string): Promise<Manifest['spec']> =>
      find(await render(name), 'Service', 'test-peerglass-registry').spec;
    assert.equal((await service('defaults')).ports[0]?.['nodePort'], 30021);
    assert.equal((await service('defaults')).type, 'NodePort');
    assert.equal((await service('host port only')).type, 'ClusterIP');
    assert.deepEqual((await service('IPv6 first')).ipFamilies, ['IPv6', 'IPv4']);
    assert.equal((await service('defaults')).ipFamilyPolicy, 'PreferDualStack');
  });

  it('mounts a registries.yaml as a Secret where it is read', async () => {
    const manifests = await render('registries');
    const { stringData } = find(manifests, 'Secret', 'test-peerglass-registries');
    assert.deepEqual(parse(stringData?.['registries.yaml'] ?? ''), REGISTRIES);
    const { init, registry } = await agent('registries');
    const test = find(manifests, 'Pod', 'test-peerglass-doctor').spec;
    for (const { args, volumeMounts } of [registry, ...init, ...test.containers]) {
      assert.ok(args?.includes('--registries-yaml=/etc/peerglass/registries.yaml'));
      assert.ok(volumeMounts?.some(({ mountPath }) => mountPath === '/etc/peerglass'));
    }
    assert.deepEqual(
      test.volumes?.find(({ name }) => name === 'registries'),
      { name: 'registries', secret: { secretName: 'test-peerglass-registries' } },
    );
  });

  it('mounts extra volumes into every container whose options name their files', async () => {
    const manifests = await render('files of further volumes');
    const { init, registry } = await agent('files of further volumes');
    const doctor = find(manifests, 'Pod', 'test-peerglass-doctor').spec.containers[0];
    assert.equal(init.length, 1);
    for (const { name, args, volumeMounts } of [registry, ...init, doctor]) {
      assert.ok(
        args?.some((arg) => arg.includes('=/more/')),
        name,
      );
      assert.ok(
        volumeMounts?.some(({ mountPath }) => mountPath === '/more'),
        name,
      );
    }
  });

  for (const name of ['TLS of a Secret', 'TLS of a Secret, configured by the agent']) {
    it(`serves with the certificate, and makes containerd trust it: ${name}`, async () => {
      const { init, registry } = await agent(name);
      const doctor = find(await render(name), 'Pod', 'test-peerglass-doctor').spec.containers[0];
      for (const { volumeMounts } of [registry, ...init, doctor]) {
        const mount = volumeMounts?.find((it) => it.name === 'tls');
        assert.deepEqual(mount, { name: 'tls', mountPath: '/etc/peerglass-tls', readOnly: true });
      }
      for (const flag of [
        '--registry-tls-cert=/etc/peerglass-tls/tls.crt',
        '--registry-tls-key=/etc/peerglass-tls/tls.key',
        '--registry-tls-ca=/etc/peerglass-tls/ca.crt',
      ]) {
        assert.ok(registry.args?.includes(flag), flag);
        assert.ok(doctor.args?.includes(flag), flag);
      }
      const configurer = init[0] ?? registry;
      assert.ok(configurer.args?.some((arg) => arg.startsWith('--mirror-targets=https:')));
      assert.ok(configurer.args?.includes('--mirror-target-ca-copy=/etc/peerglass-tls/ca.crt'));
      const { volumes } = find(await render(name), 'DaemonSet').spec.template.spec;
      assert.deepEqual(
        volumes?.find((it) => it.name === 'tls'),
        { name: 'tls', secret: { secretName: 'mirror-tls', defaultMode: 0o400 } },
      );
    });
  }

  it('copies no CA that the node already has or that is public', async () => {
    for (const [peerglass, flags] of [
      [{ mirrorTargetCa: '/on/the/node.crt' }, ['--mirror-target-ca=/on/the/node.crt']],
      [{ tls: { authority: '' } }, []],
    ] as const) {
      const tls = { secretName: 'mirror-tls', ...('tls' in peerglass && peerglass.tls) };
      const manifests = await template({ peerglass: { ...peerglass, tls } }, '1.37');
      const [init] = find(manifests, 'DaemonSet').spec.template.spec.initContainers ?? [];
      assert.deepEqual(
        init?.args?.filter((arg) => arg.startsWith('--mirror-target-ca')),
        flags,
      );
    }
  });

  it('publishes the addresses of agents that are not ready', async () => {
    const { spec } = find(await render('defaults'), 'Service', 'test-peerglass-bootstrap');
    assert.equal(spec.clusterIP, 'None');
    assert.equal(spec.publishNotReadyAddresses, true);
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

  it('prefers values to the preset, and peerglass to spegel', async () => {
    const { args = [] } = await agentWith({
      spegel: { containerdSock: '/run/b/containerd.sock', logLevel: 'ERROR' },
      peerglass: { preset: 'k3s', logLevel: 'DEBUG' },
    });
    assert.ok(args.includes('--containerd-sock=/run/b/containerd.sock'));
    assert.ok(args.includes('--log-level=DEBUG'));
  });

  for (const [values, problem] of [
    [{ peerglass: { logLevle: 'DEBUG' } }, /logLevle/],
    [{ peerglass: { peerTimeout: '5 seconds' } }, /peerTimeout/],
    [{ peerglass: { uploadLimit: '5 MB' } }, /uploadLimit/],
    [{ peerglass: { preset: 'k4s' } }, /preset/],
    [{ peerglass: { startupTaint: { key: 'a b' } } }, /startupTaint\/key/],
    [{ peerglass: { prometheusRule: { disabled: ['NoPeers'] } } }, /disabled/],
    [{ spegel: { logLevel: 'LOUD' } }, /logLevel/],
    [{ service: { registry: { port: '5000' } } }, /port/],
    [{ peerglass: { cleanupRounds: 0 } }, /cleanupRounds/],
    [{ service: { registry: { hostPort: 0, nodePort: 0 } } }, /no way to the mirror/],
    [
      { peerglass: { tls: { secretName: 'x' }, registryTlsClientAuth: 'require' } },
      /containerd has to show a certificate/,
    ],
    [{ resources: { limits: { memory: 'much' } } }, /cannot be understood/],
  ] as const) {
    it(`refuses ${JSON.stringify(values)}`, async () => {
      await assert.rejects(template(values, '1.37'), problem);
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

  it('limits the length of names', async () => {
    const manifests = await template({ fullnameOverride: 'x'.repeat(63) }, '1.37');
    for (const { metadata } of manifests) assert.ok(metadata.name.length <= 63, metadata.name);
  });

  it('limits the length of labels', async () => {
    const manifests = await template({ nameOverride: 'x'.repeat(63) }, '1.37');
    for (const { labels } of podSpecs(manifests)) {
      for (const value of Object.values(labels)) assert.ok(value.length <= 63, value);
    }
  });
});
