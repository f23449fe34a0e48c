import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { CHART } from '../generate.ts';
import { template } from '../helm.ts';
import { splitFlag } from '../manifest.ts';
import { ALL_OPTIONS, OPTION_SETS, REGISTRIES } from '../matrix.ts';
import { flagTable, NOT_VALUES } from '../option-values.ts';
import { readValues } from '../values-file.ts';
import { agent, agentWith, find, render, skip } from './render.ts';

function setNull(values: Record<string, unknown>, [name = '', ...rest]: readonly string[]): void {
  if (rest.length === 0) {
    values[name] = null;
    return;
  }
  const inner = { ...(values[name] as Record<string, unknown> | undefined) };
  setNull(inner, rest);
  values[name] = inner;
}

describe('the options in the chart', { skip }, () => {
  it('passes every option of the agent to the subcommands that have it', async () => {
    const cases = Object.entries(OPTION_SETS).flatMap(([name, options]) => [
      { name, options, configure: false },
      { name: `${name}, configured by the agent`, options, configure: true },
    ]);
    for (const { name, options, configure } of cases) {
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
          const sample = option === 'configure' ? configure : (options[option] ?? []);
          assert.deepEqual(
            given.filter((it) => it.flag === flag).map(({ value }) => value),
            (Array.isArray(sample) ? sample : [sample]).map(String),
            `${subcommand} ${flag}`,
          );
        }
      }
    }
  });

  it('has a sample value for every option', () => {
    assert.ok(Object.keys(ALL_OPTIONS).length > 30);
    for (const name of Object.keys(ALL_OPTIONS)) {
      assert.ok(!(name in NOT_VALUES), name);
      assert.ok(
        Object.values(OPTION_SETS).some((options) => name in options),
        name,
      );
    }
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

  it('passes no options that are not set, but those that the chart sets itself', async () => {
    const { init, registry } = await agent('defaults');
    assert.deepEqual(registry.args, [
      'registry',
      '--registry-addr=:5000',
      '--mirror-addr=:5002',
      '--router-addr=:5001',
      '--metrics-addr=:9090',
      '--data-dir=/var/lib/peerglass',
      '--debug-clients=node',
      '--shutdown-delay=3s',
      '--bootstrap-kind=dns',
      '--dns-bootstrap-domain=test-peerglass-bootstrap.peerglass.svc.cluster.local.',
      '--share=registry.k8s.io=all',
      '--share=docker.io/library=all',
      '--share=public.ecr.aws=all',
      '--share=mcr.microsoft.com=all',
      '--share=*=auto',
      '--swarm-key-file=/etc/peerglass-swarm/swarm.key',
    ]);
    assert.deepEqual(init[0]?.args, ['configuration', '--mirror-targets=http://$(NODE_IP):30020']);
  });

  it('shares all names when the list of rules is empty', async () => {
    const { args = [] } = await agentWith({ peerglass: { share: [] } });
    assert.deepEqual(
      args.filter((it) => it.startsWith('--share')),
      [],
    );
  });

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
    [{ service: { registry: { hostPort: 99_999 } } }, /hostPort/],
    [{ service: { registry: { nodePort: -1 } } }, /nodePort/],
    [{ service: { router: { port: 0 } } }, /router\/port/],
    [{ service: { router: { port: 5000 } } }, /registry\.port and service\.router\.port: both/],
    [{ service: { registry: { mirrorPort: 5000 } } }, /registry\.mirrorPort.*both are 5000/],
    [{ peerglass: { hostIP: '127.0.0.256' } }, /hostIP/],
    [{ peerglass: { extraNodeIPs: ['node-7'] } }, /extraNodeIPs/],
    [{ peerglass: { networkPolicy: { nodeCIDRs: ['10.0.0.0/33'] } } }, /nodeCIDRs/],
    [{ peerglass: { networkPolicy: { apiServerCIDRs: ['fd00::/129'] } } }, /apiServerCIDRs/],
    [{ peerglass: { networkPolicy: { apiServerPorts: [70_000] } } }, /apiServerPorts/],
    [{ peerglass: { ipFamilies: ['ipv6'] } }, /ipFamilies/],
    [
      { peerglass: { registries: REGISTRIES, mirroredRegistries: ['docker.io'] } },
      /give only one of them/,
    ],
    [
      { peerglass: { registries: REGISTRIES }, spegel: { registries: ['https://docker.io'] } },
      /give only one of them/,
    ],
    [{ peerglass: { registries: { configs: REGISTRIES.configs } } }, /mirrors no registry/],
    [{ peerglass: { disableDefaultRegistryEndpoint: true } }, /needs the endpoints/],
    [{ peerglass: { bootstrapKind: 'http' } }, /httpBootstrapPeer/],
    [{ peerglass: { registryTlsCert: '/tls.crt' } }, /registryTlsCert and .*Key go together/],
    [
      { peerglass: { registryTls: 'auto', tls: { secretName: 'mirror-tls' } } },
      /registryTls: auto makes its own certificates.*peerglass\.tls\.secretName/,
    ],
    [
      { peerglass: { registryTls: 'auto', registryTlsCa: '/ca.crt' } },
      /registryTls: auto makes.* peerglass\.registryTlsCa/,
    ],
    [{ peerglass: { mirrorTargetKey: '/tls.key' } }, /mirrorTargetCert and .*Key go together/],
    [{ peerglass: { registryTlsClientAuth: 'require' } }, /needs a certificate/],
    [{ peerglass: { mirrorTargetCa: '/ca.crt' } }, /for https:\/\/ mirrors/],
    [
      {
        peerglass: {
          mirrorTargetCa: '/ca.crt',
          mirrorTargetCaCopy: '/ca.crt',
          tls: { secretName: 'mirror-tls' },
        },
      },
      /mirrorTargetCa and peerglass\.mirrorTargetCaCopy/,
    ],
    [{ peerglass: { cleanupRounds: 0 } }, /cleanupRounds/],
    [{ peerglass: { cleanupTimeoutSeconds: 0 } }, /cleanupTimeoutSeconds/],
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
});
