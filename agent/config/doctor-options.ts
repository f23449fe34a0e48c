import { option, type OptionValues } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of `doctor`. */
export const DOCTOR_OPTIONS = {
  output: option({
    kind: choice('text', 'json'),
    fallback: 'text',
    summary: 'for people, or for programs',
    details:
      'The JSON has a stable shape, see [TROUBLESHOOTING.md](TROUBLESHOOTING.md). Text is coloured on a terminal, unless `NO_COLOR` is set.',
    spegel: false,
  }),
  image: option({
    kind: VALUE.text,
    fallback: '',
    summary: 'follow this image instead',
    details:
      'Says which node has which piece of it, who would serve it, and why not; 1 when a piece would come from the registry.',
    spegel: false,
  }),
  'containerd-sock': option({
    kind: VALUE.path,
    fallback: '',
    summary: "containerd's socket; none: found",
    details: 'Looked for where containerd, k3s, RKE2, k0s and MicroK8s have theirs.',
    spegel: false,
  }),
  'containerd-namespace': option({
    kind: VALUE.text,
    fallback: 'k8s.io',
    summary: 'containerd namespace to look at',
    spegel: false,
  }),
  'containerd-registry-config-path': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'folder of hosts.toml files; none: found',
    details:
      'That of the distribution whose socket it is, `/etc/containerd/certs.d` for containerd.',
    spegel: false,
  }),
  'containerd-config': option({
    kind: VALUE.path,
    fallback: '',
    summary: "containerd's config.toml; none: found",
    details:
      'Without it containerd is asked, before 2.0 over the CRI, since then by running its own `containerd config dump`.',
    spegel: false,
  }),
  'mirror-targets': option({
    kind: VALUE.targets,
    fallback: '',
    summary: 'URLs that containerd knows the mirror by',
    details: 'As given to `configuration`. Without it every host on loopback counts as the mirror.',
    spegel: false,
  }),
  'mirrored-registries': option({
    kind: VALUE.registries,
    fallback: '',
    summary: 'expect hosts.toml for these; none: all',
    details: 'Without it those that the agent shares.',
    spegel: false,
  }),
  'metrics-addr': option({
    kind: VALUE.address,
    fallback: ':9090',
    summary: 'where the agent tells of itself',
    spegel: false,
  }),
  'router-addr': option({
    kind: VALUE.address,
    fallback: ':5001',
    summary: 'where the agent is to listen for peers',
    spegel: false,
  }),
  'registry-tls-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'certificate that the agent serves with',
    details: 'Whether it expires is looked at, and it is shown to mirrors that want one.',
    spegel: false,
  }),
  'registry-tls-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'its private key',
    spegel: false,
  }),
  'registry-tls-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities that the agent believes',
    spegel: false,
  }),
  'registries-yaml': option({
    kind: VALUE.path,
    fallback: 'auto',
    summary: "k3s' registries.yaml to look at",
    details:
      'The file and the certificates that it names. `auto`: that of k3s or RKE2; `off`: none.',
    spegel: false,
  }),
  'k3s-config': option({
    kind: VALUE.path,
    fallback: '/etc/rancher/k3s/config.yaml',
    summary: "k3s' own configuration file",
    details:
      'It says whether the embedded mirror is on; so do the files of its folder `config.yaml.d`.',
    spegel: false,
  }),
} as const;

/** Values of `doctor`. */
export type DoctorConfig = OptionValues<typeof DOCTOR_OPTIONS>;
