import { option } from './option.ts';
import { SHARED_BY_REGISTRIES } from './registries-options.ts';
import { VALUE, choice } from './values.ts';

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
  share: option({
    kind: VALUE.shareRules,
    fallback: '',
    summary: 'how images are shared, by name',
    details:
      '`REGISTRY=MODE` or `REGISTRY/REPOSITORY=MODE`, with all repositories below it; `*` stands for one part, or alone for everything. The first rule that matches counts, and without one it is `all`. `authorized`: the registry decides who may have an image. Its names are not advertised, and the mirror does not say what they mean: containerd resolves them at the registry with the credentials of the pod, which costs no pull of a rate limit, and only content by digest comes from other nodes. When the registry is away, such an image is not pulled, unless `--authorized-outage` allows it. `auto`: as `all` for images that were imported on a node, as with `ctr image import`, and as `authorized` for pulled ones. This is what Kubernetes grants: the kubelet checks no credentials for images that it did not pull. An imported manifest gets the label `peerglass/imported.REGISTRY` in containerd, so that it stays imported when a pod with the pull policy `Always` pulls it. `none`: nothing is shared. The Helm chart sets `*=auto`, and `all` for some registries whose images are for everyone.',
    spegel: false,
  }),
  'authorized-outage': option({
    kind: choice('deny', 'local'),
    fallback: 'deny',
    summary: 'authorized images whose registry is away',
    details:
      '`deny`: they are not pulled. `local`: while the registry does not answer, the mirror tells the containerd of its node what a name means that the store of this node has, so that pods with images of this node start. No credentials are checked meanwhile, and peers are neither asked nor answered. The agent asks the registry itself, by `https://REGISTRY/v2/`; any answer within two seconds counts, and the result holds for ten seconds. It uses `HTTPS_PROXY` and `NO_PROXY` of its own environment, so it needs those of containerd. An agent that cannot reach a registry that containerd reaches takes it as away: docs/SECURITY.md.',
    spegel: false,
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
