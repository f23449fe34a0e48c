import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

const DEFAULT_ENDPOINT = {
  'disable-default-registry-endpoint': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'never ask the registries themselves',
    details:
      'As in k3s, for the registries under `mirrors` of `--registries-yaml`: content that neither the mirror nor an endpoint has is not found. `registry` applies it with `--configure`.',
    spegel: false,
  }),
} as const;

/** How `registry` takes the mirrored registries from k3s. */
export const SHARED_BY_REGISTRIES = {
  'registries-yaml': option({
    kind: VALUE.path,
    fallback: 'auto',
    summary: 'share what this file of k3s mirrors',
    details:
      'registries.yaml of k3s: the registries under `mirrors` are shared, `"*"` means all, and registries on the node itself are skipped, as with the mirror embedded in k3s. `auto`: `/etc/rancher/k3s/registries.yaml` or `/etc/rancher/rke2/registries.yaml`, when one exists and `--mirrored-registries` is not given; `off`: none. It is read at the start; with `--upstream`, endpoints, rewrites, credentials and certificates are read again when the file changes. The agent does not start with a file that leaves the registries unclear. With `--configure` its endpoints are configured in containerd too, as by `configuration`; hosts that k3s has written from a file found by `auto` are then kept after the mirror.',
    spegel: false,
  }),
  ...DEFAULT_ENDPOINT,
} as const;

/** How `configuration` takes all settings of a registries.yaml. */
export const RENDERED_REGISTRIES = {
  'registries-yaml': option({
    kind: VALUE.path,
    fallback: 'off',
    summary: 'configure what this file of k3s mirrors',
    details:
      'For containerd outside of k3s: a registries.yaml instead of `--mirrored-registries`. The mirror comes first, then the endpoints in their order with their TLS settings, then the registry. `auto`: the file of k3s or RKE2, when there is one. Credentials and rewrites are left out, with a warning.',
    spegel: false,
  }),
  ...DEFAULT_ENDPOINT,
} as const;

/** Options of `check-registries`. */
export const CHECK_REGISTRIES_OPTIONS = {
  output: option({
    kind: choice('text', 'json'),
    fallback: 'text',
    summary: 'how to print the findings',
    details: 'The JSON of one file is an object, that of several files a list of such objects.',
    spegel: false,
  }),
  fix: option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'write the corrected lines into the files',
    details:
      'Corrections that are one of several possible ones are left out. Mode and owner of the file stay.',
    spegel: false,
    env: 'CHECK_REGISTRIES_FIX',
  }),
} as const;
