import { option } from './option.ts';
import { choice, VALUE } from './values.ts';

/** Options of an agent that fetches from registries itself. */
export const UPSTREAM_OPTIONS = {
  upstream: option({
    kind: VALUE.registries,
    fallback: '',
    summary: 'fetch from these registries itself',
    details:
      "As URL or host: `docker.io`, `ghcr.io`, `http://10.0.0.9:5000`; `'*'` is every registry that is not on the node. Content that no node holds is then fetched by the agent, for clients on its own node only, and streamed to them. It asks the endpoints that `--registries-yaml` has for the registry, in their order, under the names of `rewrite` and with the credentials and certificates of `configs`, then the registry, by https unless its URL here says http. Where that fails the client gets the registry's reason, and containerd goes to the next host of its hosts.toml. Without the option containerd goes to registries itself. docs/UPSTREAM.md has more.",
    spegel: false,
  }),
  'upstream-timeout': option({
    kind: VALUE.duration,
    fallback: '10s',
    summary: 'how long a registry may take to answer',
    details:
      'From the request to the head of the answer, with token and redirects, and then between two chunks of a body. A body that falls silent is asked for again at the same byte.',
    spegel: false,
  }),
  'tag-ttl': option({
    kind: VALUE.durationOrZero,
    fallback: '0s',
    summary: 'how long a registry is not asked again for a tag',
    details:
      'For registries of `--upstream`. With 0 each resolve asks the registry, by HEAD, so that a tag that has moved is seen at once; those of one tag on a node share one HEAD while it runs, and so do nodes (`--share-tag-checks`). Docker Hub does not count it. With more the agent keeps in memory what the last 10,000 tags mean. Tags that are not shared, as `latest`, are asked for each time.',
    spegel: false,
  }),
  'share-tag-checks': option({
    kind: choice('auto', 'always', 'never'),
    fallback: 'auto',
    summary: 'one node asks a registry for a tag, for all at once',
    details:
      'For registries of `--upstream`, and tags that nodes share: not `latest`, nor images that `--share` leaves to the registry. Of the nodes that want to know at the same moment what a tag means, one asks the registry, and the others are told. Whoever comes later asks anew. `auto`: in a closed cluster, so not with `--open`, because a member is believed then about what it has asked. `never`: each node asks for itself, and no member can tell it what a tag means.',
    spegel: false,
  }),
  'stale-tags': option({
    kind: VALUE.durationOrZero,
    fallback: '168h',
    summary: 'how long tags are answered without their registry',
    details:
      'For registries of `--upstream`. While a registry cannot be reached, is silent for `--upstream-timeout`, or answers 429 or 5xx, a tag means what it was last seen to mean: by the registry, in the store of the node, or on other nodes, by the rules of `--resolve-tags` and `--share`. The answer has a `Warning`, and `peerglass_upstream_tags_total{answer="stale"}` counts it. This is how long after its first failure a registry may be away; 0 leaves such pulls to containerd, with the reason of the registry. Where the registry answers that there is no such image, or none for this node, nothing of the past is served.',
    spegel: false,
  }),
  'upstream-connections': option({
    kind: choice('1', '2', '4', '8'),
    fallback: '4',
    summary: 'connections for one blob, at most',
    details:
      'Some registries throttle each connection. Where a blob of 20 MiB or more comes at a steady rate below 64 MiB a second, and the agent waits for the registry and not for the client, the next ranges of 4 MiB are asked for at once, by two connections at first, and by twice as many as long as that brings more. Eight ranges of all blobs together are in memory at most.',
    spegel: false,
  }),
  'upstream-credentials': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'config.json with credentials for registries',
    details:
      'That of Docker, as a secret of the type kubernetes.io/dockerconfigjson has it in `.dockerconfigjson`; credentials in `--registries-yaml` win. It is read again every ten seconds, for registries that have had credentials at the start. The programs of `credHelpers` and `credsStore` are not run. Images of registries with credentials are shared as `--share REGISTRY=authorized` has it, unless a rule of `--share` says otherwise: the registry decides which pod may have them.',
    spegel: false,
  }),
  'upstream-token-servers': option({
    kind: VALUE.tokenServers,
    fallback: '',
    summary: 'token servers in other domains',
    details:
      '`REGISTRY=HOST` or `REGISTRY=HOST:PORT`: the credentials of this registry, or endpoint of registries.yaml, may be shown to this host too, when the registry names it as its token server. Without it only a host of the domain of the registry gets them, and another one is asked for an anonymous token. Several for a registry are several words.',
    spegel: false,
  }),
  'unnamed-registry': option({
    kind: VALUE.optionalRegistry,
    fallback: '',
    summary: 'registry of clients that name none',
    details:
      "Docker asks a mirror of its `registry-mirrors` for `/v2/library/nginx/…`, without the registry. With `docker.io` here the mirror takes such requests of clients as ones for Docker Hub; requests that name a registry, and those of other nodes, are unchanged. Without the option a tag without a registry is refused, as it could be any registry's.",
    spegel: false,
  }),
} as const;
