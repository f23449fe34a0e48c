import { option } from './option.ts';
import { SHARED_BY_REGISTRIES } from './registries-options.ts';
import { VALUE } from './values.ts';

/** Options that decide which images are shared. */
export const SHARING_OPTIONS = {
  'registry-filters': option({
    kind: VALUE.regexes,
    fallback: '',
    summary: 'leave out images that match',
    details:
      'Regular expressions on `registry/repository` and `registry/repository:tag`. A match on the name leaves the image out. A match that needs the tag (`:dev$`) leaves the tag out; its content is still shared by digest.',
    spegel: true,
  }),
  'mirrored-registries': option({
    kind: VALUE.registries,
    fallback: '',
    summary: 'share only these; none: all',
    details:
      "As URL or host: `https://docker.io`, `ghcr.io`, `10.0.0.9:5000`. `*`, alone or beside others, shares all of them. With `--configure` each name gets a hosts.toml, and `*` the file of `_default`, which the folder of a registry hides: `--mirrored-registries '*' docker.io`.",
    spegel: true,
  }),
  ...SHARED_BY_REGISTRIES,
  'enable-latest': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'share images tagged latest',
    details:
      'The tag moves, and a mirror would keep each node at the version that its neighbours have. By digest such images are shared in any case.',
    spegel: false,
    env: 'K3S_P2P_ENABLE_LATEST',
  }),
} as const;
