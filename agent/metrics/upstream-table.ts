const REGISTRY = 'host of the registry; at most 200 different ones, others are `other`';

/** The rows of what this node fetches from registries itself (`--upstream`); see `METRICS`. */
export const UPSTREAM_METRICS = {
  peerglass_upstream_requests_total: {
    type: 'counter',
    help: 'Requests of this agent to registries, without those that follow a redirect or a challenge.',
    labels: {
      registry: REGISTRY,
      kind: { manifest: '', blob: '', token: 'to the token server of a registry' },
    },
  },
  peerglass_upstream_bytes_total: {
    type: 'counter',
    help: 'Bytes of content that this agent received from registries.',
    labels: { registry: REGISTRY },
  },
  peerglass_upstream_failures_total: {
    type: 'counter',
    help: 'Requests of this agent to registries that failed, and bodies that broke and were asked for again.',
    labels: {
      reason: {
        connect: 'no connection, or no certificate that is accepted',
        timeout: 'no answer, or no more bytes, in time',
        'not-found': 'the registry does not have it',
        denied: 'the registry wants other credentials',
        limited: 'the registry limits requests',
        status: 'another HTTP status',
        range: 'the requested range does not exist',
        length: 'a blob without a length, which was left to containerd',
        redirect: 'a redirect or token server that is not followed',
        token: 'the token server gave no token',
        protocol: 'an answer that is none of a registry, or does not match the request',
        digest: 'wrong bytes',
        body: 'the connection ended too early',
      },
    },
  },
  peerglass_upstream_tags_total: {
    type: 'counter',
    help: 'Tags that this agent was asked for by clients of its node, by who has said what they mean.',
    labels: {
      registry: REGISTRY,
      answer: {
        registry: 'the registry, now',
        shared: 'the registry, to another node that asked at the same moment',
        remembered: 'the registry, less than `--tag-ttl` ago',
        stale: 'a node, as the tag was last seen: the registry cannot be asked',
        refused:
          'none: the registry has no such image, or none for this node, or is away for longer than `--stale-tags`',
        unavailable: 'none: the registry cannot be asked, and no node has the image, or may say so',
      },
    },
  },
  peerglass_upstream_widened_total: {
    type: 'counter',
    help: 'Blobs whose registry throttles a connection, by what came of asking it by several (`--upstream-connections`).',
    labels: {
      outcome: {
        whole: 'several connections brought all of the rest',
        one: 'the rest came by one connection: more brought no more, or one of them failed',
        refused:
          'the registry does not answer the first range as asked, and kept its one connection',
        full: 'no memory was free for a range, because of other blobs',
      },
    },
  },
  peerglass_upstream_pulls_remaining: {
    type: 'gauge',
    help: 'Pulls that a registry still allows this node, by its last answer (`ratelimit-remaining`).',
    labels: { registry: REGISTRY },
  },
} as const;
