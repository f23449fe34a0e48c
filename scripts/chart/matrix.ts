import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

import { type OptionValue, optionValues } from './option-values.ts';

/** A values file for Spegel's chart with all of its values. */
export const SPEGEL_FILE = parse(
  readFileSync(join(import.meta.dirname, 'testdata/spegel-values.yaml'), 'utf8'),
) as Record<string, unknown>;

/** Sample values by kind of option. A list contains text that Kubernetes would expand as a variable. */
const SAMPLES: Readonly<Record<string, unknown>> = {
  REGEX: ['^a$(b)', ':dev$'],
  REGISTRY: ['docker.io', 'ghcr.io'],
  'REGISTRY=HOST': ['ghcr.io=auth.example'],
  PEER: ['/ip4/10.0.0.2/tcp/5001'],
  DURATION: '7m',
  SIZE: '11MiB',
  NUMBER: 1_234_567,
  PATH: '/some/folder/file',
  URL: 'http://10.0.0.2:8080',
  ZONE: 'zone-1',
  CIDR: ['10.96.0.0/12', 'fd00::1'],
  RULE: ['ghcr.io/team=authorized', '*=all'],
  TEXT: 'some.text.',
  'HOST:PORT': ':8081',
  // `auto` excludes the files, which most options of TLS are about. It has a row of its own.
  'files|auto': 'files',
};

/** A value of the option that differs from its default. */
function sampleOf({ kind, fallback }: OptionValue['option']): unknown {
  if (kind.placeholder === 'true|false') return fallback !== 'true';
  if (kind.placeholder in SAMPLES) {
    const sample = SAMPLES[kind.placeholder];
    return Array.isArray(sample) && !kind.list ? (sample as unknown[])[0] : sample;
  }
  return kind.placeholder.split('|').find((word) => word !== fallback);
}

/** A value for every option of the agent. */
export const ALL_OPTIONS = Object.fromEntries(
  optionValues().map(({ name, option }) => [name, sampleOf(option)]),
);

/** Options that no agent takes together: the first ones, and the others. */
const EXCLUSIVE: readonly (readonly [first: readonly string[], other: readonly string[]])[] = [
  [['mirroredRegistries'], ['registriesYaml', 'disableDefaultRegistryEndpoint']],
  [['mirrorTargetCa'], ['mirrorTargetCaCopy']],
];

/** A value for every option that goes with the others, and the first or the other ones of those that exclude each other. */
function choose(first: boolean): Readonly<Record<string, unknown>> {
  const out = EXCLUSIVE.flatMap(([ones, others]) => (first ? others : ones));
  return Object.fromEntries(Object.entries(ALL_OPTIONS).filter(([name]) => !out.includes(name)));
}

/** A value for every option of the agent, in two sets. Together they have all, and an agent takes each. */
export const OPTION_SETS = { 'every option': choose(true), 'the other options': choose(false) };

/** A registries.yaml of k3s. */
export const REGISTRIES = {
  mirrors: { 'docker.io': { endpoint: ['https://mirror.example'] }, 'ghcr.io': null },
  configs: { 'mirror.example': { auth: { username: 'u', password: 'p' } } },
};

/** Values to render the chart with, by their purpose. */
export const MATRIX: Readonly<Record<string, unknown>> = {
  defaults: {},
  k3s: { peerglass: { preset: 'k3s' } },
  rke2: { peerglass: { preset: 'rke2' } },
  k0s: { peerglass: { preset: 'k0s', containerdRegistryConfigPath: '/etc/k0s/certs.d' } },
  microk8s: { peerglass: { preset: 'microk8s' } },
  ...Object.fromEntries(
    Object.entries(OPTION_SETS).flatMap(([name, options]) => [
      [name, { peerglass: { ...options, configure: false } }],
      [`${name}, configured by the agent`, { peerglass: options }],
    ]),
  ),
  "Spegel's file": SPEGEL_FILE,
  'host port and NodePort': { service: { registry: { nodePort: 30_021 } } },
  'host port on loopback': { peerglass: { hostIP: '127.0.0.1' } },
  'NodePort only': { service: { registry: { hostPort: null, nodePort: 30_021 } } },
  'NodePort for the own node': {
    service: { registry: { nodePort: 30_021, internalTrafficLocal: true } },
    peerglass: { mirrorClients: 'node' },
  },
  'network of the node': { peerglass: { hostNetwork: true } },
  'network of the node, and NodePort': {
    peerglass: { hostNetwork: true },
    service: { registry: { nodePort: 30_021 } },
  },
  'TLS by identities': { peerglass: { registryTls: 'auto' } },
  'basic authentication': { basicAuthSecretName: 'mirror-users' },
  'basic authentication, configured by the agent': {
    basicAuthSecretName: 'mirror-users',
    peerglass: { preset: 'k3s' },
  },
  'further addresses of the node': {
    peerglass: { extraNodeIPs: ['192.0.2.7', '2001:db8::7'] },
  },
  'IPv6 first': { peerglass: { ipFamilies: ['IPv6', 'IPv4'] } },
  'containerd left alone': { peerglass: { preset: 'k3s' }, spegel: { containerdMirrorAdd: false } },
  registries: { peerglass: { registries: REGISTRIES } },
  TLS: { peerglass: { registryTlsCert: '/tls/tls.crt', registryTlsKey: '/tls/tls.key' } },
  'TLS of a Secret': {
    peerglass: {
      hostIP: '127.0.0.1',
      swarmKeySecretName: 'swarm',
      tls: { secretName: 'mirror-tls' },
    },
  },
  'TLS of a Secret, configured by the agent': {
    peerglass: { preset: 'k3s', tls: { secretName: 'mirror-tls' } },
  },
  'files of further volumes': {
    extraVolumes: [{ name: 'more', secret: { secretName: 'more' } }],
    peerglass: {
      extraVolumeMounts: [{ name: 'more', mountPath: '/more', readOnly: true }],
      registriesYaml: '/more/registries.yaml',
      registryTlsCert: '/more/tls.crt',
      registryTlsKey: '/more/tls.key',
      mirrorTargetCaCopy: '/more/ca.crt',
    },
  },
  'no limits': { resources: null },
  'labels that collide': {
    commonLabels: { team: 'a', release: 'x', 'app.kubernetes.io/name': 'x' },
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    grafanaDashboard: { enabled: true, labels: { release: 'grafana' } },
    peerglass: {
      podMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
    },
  },
  'startup taint': {
    networkPolicy: { enabled: true },
    tolerations: [],
    peerglass: {
      startupTaint: { enabled: true, key: 'example.com/no-mirror' },
      logLevel: 'DEBUG',
      networkPolicy: { apiServerPorts: [6443], apiServerCIDRs: ['192.0.2.1/32'] },
    },
  },
  'everything optional': {
    networkPolicy: { enabled: true },
    serviceMonitor: { enabled: true },
    grafanaDashboard: { enabled: true },
    verticalPodAutoscaler: { enabled: true },
    spegel: { persistence: { enabled: true } },
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    peerglass: {
      podMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
      networkPolicy: {
        nodeCIDRs: ['192.0.2.0/24', '2001:db8::/32'],
        metricsFrom: [
          { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
        ],
        extraIngress: [{ ports: [{ port: 5001 }] }],
        extraEgress: [{ ports: [{ port: 5001 }] }],
      },
      nodeOptions: '--trace-warnings',
      extraArgs: ['--log-level=DEBUG'],
      extraEnv: [{ name: 'NO_COLOR', value: '1' }],
      extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
    },
  },
};
