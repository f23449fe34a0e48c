import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

const DEFAULT_ENDPOINT = {
  'disable-default-registry-endpoint': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'never ask the registries themselves',
    details:
      'As in k3s, for the registries under `mirrors` of `--registries-yaml`: what neither the mirror nor an endpoint has is not found. `registry` heeds it with `--configure`.',
    spegel: false,
  }),
} as const;

/** Where `registry` learns from k3s which registries are mirrored. */
export const SHARED_BY_REGISTRIES = {
  'registries-yaml': option({
    kind: VALUE.path,
    fallback: 'auto',
    summary: 'share what this file of k3s mirrors',
    details:
      'k3s\' registries.yaml: the registries under `mirrors` are shared, `"*"` means all, and those of the node itself are skipped, as with the mirror embedded in k3s. `auto`: `/etc/rancher/k3s/registries.yaml` or `/etc/rancher/rke2/registries.yaml`, when one is there and `--mirrored-registries` is not given; `off`: none. Read at the start only. A file from which it cannot be told which registries are meant keeps the agent from starting. With `--configure` containerd is told of its endpoints too, as by `configuration`; what k3s has written from a file that was found (`auto`) is then kept, behind the mirror.',
    spegel: false,
  }),
  ...DEFAULT_ENDPOINT,
} as const;

/** How `configuration` takes a whole registries.yaml. */
export const RENDERED_REGISTRIES = {
  'registries-yaml': option({
    kind: VALUE.path,
    fallback: 'off',
    summary: 'configure what this file of k3s says',
    details:
      'For containerd outside of k3s: a registries.yaml instead of `--mirrored-registries`. The mirror first, then the endpoints in their order with their TLS settings, then the registry. `auto`: the file of k3s or RKE2, when there is one. Credentials and rewrites are not written, with a warning.',
    spegel: false,
  }),
  ...DEFAULT_ENDPOINT,
} as const;

/** Options of `check-registries`. */
export const CHECK_REGISTRIES_OPTIONS = {
  output: option({
    kind: choice('text', 'json'),
    fallback: 'text',
    summary: 'how to print what is found',
    spegel: false,
  }),
} as const;
