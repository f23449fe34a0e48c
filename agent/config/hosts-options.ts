import { option } from './option.ts';
import { RENDERED_REGISTRIES } from './registries-options.ts';
import { VALUE } from './values.ts';

/** Where the files are that tell containerd of mirrors. */
const CONFIG_PATH = {
  'containerd-registry-config-path': option({
    kind: VALUE.path,
    fallback: '/etc/containerd/certs.d',
    summary: "containerd's folder of hosts.toml",
    details:
      'The `config_path` of its `registry` section. k3s: `/var/lib/rancher/k3s/agent/etc/containerd/certs.d`, RKE2 the same below `rke2`.',
    spegel: true,
  }),
} as const;

/** How containerd is told of the mirror: options that `configuration` and `registry` share. */
export const MIRROR_OPTIONS = {
  'mirror-targets': option({
    kind: VALUE.targets,
    fallback: '',
    summary: 'mirrors that containerd is to ask',
    details:
      'In this order, as URL: `http://127.0.0.1:5000`. `registry --configure` names itself when none is given.',
    spegel: true,
  }),
  'mirror-target-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities for https:// mirrors',
    details:
      'PEM, by its absolute path on the node: containerd reads it, as `ca` of these mirrors. `registry --configure` names `--registry-tls-ca` when its mirror speaks TLS and nothing is given here. Without either containerd goes by the authorities of the system.',
    spegel: false,
  }),
  'mirror-target-ca-copy': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'the same, copied for containerd',
    details:
      'PEM that containerd cannot read where it is, as it is mounted into a pod. It is copied to `.peerglass-ca.crt` in `--containerd-registry-config-path`, which hosts.toml then names, and goes with `cleanup`. `registry --configure` copies it again when it was renewed, `configuration` once. Instead of `--mirror-target-ca`.',
    spegel: false,
  }),
  'mirror-target-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'certificate containerd shows there',
    details:
      'PEM, by its absolute path on the node, for `--registry-tls-client-auth require`. `registry --configure` then names its own certificate and key when nothing is given here.',
    spegel: false,
  }),
  'mirror-target-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'the private key of that certificate',
    spegel: false,
  }),
  'resolve-tags': option({
    kind: VALUE.boolean,
    fallback: 'true',
    summary: 'the mirror may say what a tag is',
    details: 'Otherwise containerd asks the registry for that, and the mirror for content only.',
    spegel: true,
  }),
  'prepend-existing': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'keep the hosts that are configured',
    details:
      'They are asked after the mirror, and their file stays as it is written, comments and all. Otherwise a file that is there is set aside until `cleanup`.',
    spegel: true,
  }),
  ...CONFIG_PATH,
} as const;

/** Options of `configuration`. */
export const CONFIGURATION_OPTIONS = {
  'mirrored-registries': option({
    kind: VALUE.registries,
    fallback: '',
    summary: 'configure these; none: all',
    details:
      'As URL or host: `https://docker.io`, `ghcr.io`, `10.0.0.9:5000`. None, or `*`: all that have no folder of their own (`_default`).',
    spegel: true,
  }),
  ...RENDERED_REGISTRIES,
  ...MIRROR_OPTIONS,
} as const;

/** Options of `cleanup`. */
export const CLEANUP_OPTIONS = {
  addr: option({
    kind: VALUE.optionalAddress,
    fallback: '',
    summary: 'when done, serve /readyz here',
    details: 'Until SIGTERM, for `cleanup-wait`. Without it the command ends when it is done.',
    spegel: true,
  }),
  'data-dir': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'remove what agents kept here',
    details:
      'The folder of `registry --data-dir`: identity and verdicts, and the folder when nothing else is in it. Without it they stay.',
    spegel: false,
  }),
  ...CONFIG_PATH,
} as const;

/** Options of `cleanup-wait`. */
export const CLEANUP_WAIT_OPTIONS = {
  'probe-endpoint': option({
    kind: VALUE.optionalAddress,
    fallback: '',
    summary: 'where the cleanups serve /readyz',
    details: 'A name with a port; all addresses of the name are asked.',
    spegel: true,
  }),
  threshold: option({
    kind: VALUE.count,
    fallback: '3',
    summary: 'rounds in a row that all must answer',
    details:
      'A node that was not there before begins them anew. How many nodes there are nobody can say: those count that have an address when the rounds are over.',
    spegel: true,
  }),
  period: option({
    kind: VALUE.duration,
    fallback: '2s',
    summary: 'between rounds',
    spegel: true,
  }),
} as const;
