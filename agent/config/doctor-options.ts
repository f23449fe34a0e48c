import { option, type OptionValues } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of `doctor`. */
export const DOCTOR_OPTIONS = {
  output: option({
    kind: choice('text', 'json'),
    fallback: 'text',
    summary: 'text for people, JSON for programs',
    details:
      'The shape of the JSON is stable, see [TROUBLESHOOTING.md](TROUBLESHOOTING.md). Text is coloured on a terminal, unless `NO_COLOR` is set.',
    spegel: false,
  }),
  image: option({
    kind: VALUE.text,
    fallback: '',
    summary: 'follow this image instead of the checks',
    details:
      'Reports for its tag and each descriptor which nodes have it, which node would serve it, and why not. The exit code is 1 when a part would come from the registry.',
    spegel: false,
  }),
  'containerd-sock': option({
    kind: VALUE.path,
    fallback: '',
    summary: "containerd's socket; empty: find it",
    details: 'Searched in the paths of containerd, k3s, RKE2, k0s and MicroK8s.',
    spegel: false,
  }),
  'containerd-namespace': option({
    kind: VALUE.text,
    fallback: 'k8s.io',
    summary: 'containerd namespace to check',
    spegel: false,
  }),
  'containerd-registry-config-path': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'folder of hosts.toml files; empty: find it',
    details:
      'By default the folder of the distribution with the socket: `/etc/containerd/certs.d` for containerd.',
    spegel: false,
  }),
  'containerd-config': option({
    kind: VALUE.path,
    fallback: '',
    summary: "containerd's config.toml; empty: find it",
    details:
      'By default containerd reports its configuration: before 2.0 over the CRI, from 2.0 on by `containerd config dump`.',
    spegel: false,
  }),
  'mirror-targets': option({
    kind: VALUE.targets,
    fallback: '',
    summary: 'URLs of the mirror in hosts.toml',
    details:
      'As given to `configuration`. Without them every host on loopback counts as the mirror.',
    spegel: false,
  }),
  'mirrored-registries': option({
    kind: VALUE.registries,
    fallback: '',
    summary: 'expect hosts.toml for these; none: all',
    details:
      "By default the registries that the agent shares. `*` stands for `_default`, also beside others: `--mirrored-registries '*' docker.io`.",
    spegel: false,
  }),
  'metrics-addr': option({
    kind: VALUE.address,
    fallback: ':9090',
    summary: 'where the agent serves /readyz and /debug',
    spegel: false,
  }),
  'router-addr': option({
    kind: VALUE.address,
    fallback: ':5001',
    summary: 'where the agent should listen for peers',
    spegel: false,
  }),
  'registry-tls-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'TLS certificate of the agent',
    details: 'Its end is checked, and it is the client certificate for mirrors that require one.',
    spegel: false,
  }),
  'registry-tls-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'private key of that certificate',
    spegel: false,
  }),
  'registry-tls-client-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'certificate that the agent shows to peers',
    details:
      'Its end is checked, and it is the client certificate instead of `--registry-tls-cert`.',
    spegel: false,
  }),
  'registry-tls-client-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'private key of that client certificate',
    spegel: false,
  }),
  'registry-tls-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities that the agent trusts',
    spegel: false,
  }),
  'registries-yaml': option({
    kind: VALUE.path,
    fallback: 'auto',
    summary: 'registries.yaml of k3s to check',
    details:
      'The file is checked, and the certificates that it names. `auto`: the file of k3s or RKE2; `off`: none.',
    spegel: false,
  }),
  'k3s-config': option({
    kind: VALUE.path,
    fallback: '/etc/rancher/k3s/config.yaml',
    summary: 'configuration file of k3s',
    details:
      'It decides whether the embedded mirror is on, together with the files in `config.yaml.d`.',
    spegel: false,
  }),
} as const;

/** Values of `doctor`. */
export type DoctorConfig = OptionValues<typeof DOCTOR_OPTIONS>;
