import { option } from './option.ts';
import { RENDERED_REGISTRIES } from './registries-options.ts';
import { VALUE } from './values.ts';

/** The folder of the files that configure mirrors for containerd. */
const CONFIG_PATH = {
  'containerd-registry-config-path': option({
    kind: VALUE.path,
    fallback: '/etc/containerd/certs.d',
    summary: "containerd's folder of hosts.toml",
    details:
      'The `config_path` of its `registry` section. k3s: `/var/lib/rancher/k3s/agent/etc/containerd/certs.d`; RKE2: the same path with `rke2`.',
    spegel: true,
  }),
} as const;

/** How the mirror is configured in containerd: options that `configuration` and `registry` share. */
export const MIRROR_OPTIONS = {
  'mirror-targets': option({
    kind: VALUE.targets,
    fallback: '',
    summary: 'mirrors for containerd to ask',
    details:
      'As URLs, in this order: `http://127.0.0.1:5000`. Without any, `registry --configure` writes its own address.',
    spegel: true,
  }),
  'mirror-target-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities for https:// mirrors',
    details:
      'Absolute path of a PEM file on the node, which containerd reads as `ca` of these mirrors. Without it, `registry --configure` writes `--registry-tls-ca` when its mirror speaks TLS. Without either, containerd uses the authorities of the system.',
    spegel: false,
  }),
  'mirror-target-ca-copy': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'the same, copied for containerd',
    details:
      'A PEM file that containerd cannot read, because it is mounted into a pod. It is copied to `.peerglass-ca.crt` in `--containerd-registry-config-path`, and hosts.toml names the copy; `cleanup` removes it. `registry --configure` copies a renewed file again, `configuration` copies once. Use it instead of `--mirror-target-ca`.',
    spegel: false,
  }),
  'mirror-target-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'client certificate of containerd',
    details:
      'Absolute path of a PEM file on the node, for `--registry-tls-client-auth require`. Without it, `registry --configure` then writes `--registry-tls-client-cert`, or the certificate that it serves with, and the key.',
    spegel: false,
  }),
  'mirror-target-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'private key of that certificate',
    spegel: false,
  }),
  'basic-auth-dir': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'folder with the credentials of clients',
    details:
      'With the files `username` and `password`, as the volume of a Secret of the type kubernetes.io/basic-auth has them. containerd must send them (HTTP basic authentication), and hosts.toml gets them for each mirror, readable for root only. Agents that ask for what this node holds need none at `--registry-addr`. The agent reads the files again every ten seconds; after a change those of before are accepted for five minutes, and `registry --configure` writes hosts.toml again.',
    spegel: false,
  }),
  'resolve-tags': option({
    kind: VALUE.boolean,
    fallback: 'true',
    summary: 'let the mirror resolve tags',
    details:
      'When false, containerd resolves tags at the registry, and asks the mirror for content only. An agent with `false` advertises no tags, and answers requests for them with 404, those of its own node and those of peers; content by digest is shared as before. A tag of a peer is what that peer says, so this leaves the members of the cluster nothing to say about tags. With `--upstream` the agent asks the registry first in any case, and tells clients that ask it for a tag what the registry says.',
    spegel: true,
  }),
  'prepend-existing': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'keep the hosts that are configured',
    details:
      'containerd asks them after the mirror, and their lines stay as they are, with their comments. When false, an existing file is backed up until `cleanup`.',
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
      "As URL or host: `https://docker.io`, `ghcr.io`, `10.0.0.9:5000`. None, or `*`: all registries without a folder of their own (`_default`). The folder of a registry hides `_default`, so name such registries beside the `*`: `--mirrored-registries '*' docker.io`, with `--prepend-existing` to keep the hosts that their files have.",
    spegel: true,
  }),
  ...RENDERED_REGISTRIES,
  ...MIRROR_OPTIONS,
  'containerd-sock': option({
    kind: VALUE.path,
    fallback: '/run/containerd/containerd.sock',
    summary: "containerd's socket, for IPv6 addresses",
    details:
      'Asked for the version only when a mirror or endpoint is an IPv6 address: before 2.0 containerd ignores a hosts.toml with one, so it is not written then.',
    spegel: false,
  }),
} as const;

/** Options of `cleanup`. */
export const CLEANUP_OPTIONS = {
  addr: option({
    kind: VALUE.optionalAddress,
    fallback: '',
    summary: 'when done, serve /readyz here',
    details: 'Until SIGTERM, for `cleanup-wait`. Without it the command ends after the cleanup.',
    spegel: true,
  }),
  'data-dir': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'remove the data of agents here',
    details:
      'The folder of `registry --data-dir`: the identity and the verification results, and the folder when it is empty then. Without it they stay.',
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
    details: 'A name with a port. All addresses of the name are asked.',
    spegel: true,
  }),
  threshold: option({
    kind: VALUE.count,
    fallback: '3',
    summary: 'rounds in a row that all must answer',
    details:
      'A new node restarts the count. The number of nodes is unknown: the nodes count whose addresses are there when the rounds are over.',
    spegel: true,
  }),
  period: option({
    kind: VALUE.duration,
    fallback: '2s',
    summary: 'time between rounds',
    spegel: true,
  }),
  'wait-timeout': option({
    kind: VALUE.duration,
    fallback: '4m',
    summary: 'time for all nodes to be done',
    details:
      'After that the command fails, and names what did not answer. Less than the five minutes that Helm waits for a hook.',
    spegel: false,
  }),
} as const;
