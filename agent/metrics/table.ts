import { FAN_OUT_METRICS } from './fan-out-table.ts';
import { UPSTREAM_METRICS } from './upstream-table.ts';

/**
 * The values of a label. A closed label has the values that are listed, each with its meaning. An open label has values
 * that this program does not choose; the text describes them.
 */
export type LabelRow = string | Readonly<Record<string, string>>;

/** One row of the table of metrics. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Without the labels, which describe themselves. */
  readonly help: string;
  /** By name; absent when the metric has none. */
  readonly labels?: Readonly<Record<string, LabelRow>>;
  /** Upper bounds of a histogram's buckets, in the unit of its name. */
  readonly buckets?: readonly number[];
}

/** From a tenth of a millisecond, the time of a local lookup, to ten seconds, after which a pull has failed. */
const SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const BYTES = [1024, 16_384, 262_144, 1_048_576, 16_777_216, 134_217_728, 1_073_741_824];

/** The label `registry`; {@link BoundedLabels} limits its values. */
const REGISTRY = 'host of the registry; at most 200 different ones, others are `other`';

/** The label `handler` of requests to the mirror. */
const HANDLER = {
  registry: 'answered from the local store, or refused',
  mirror: 'content that is not held locally',
  v2: 'the version check at `/v2/`',
} as const;

const METHOD = { GET: '', HEAD: '', other: 'any other method' } as const;

/**
 * Every metric of Peerglass. Registration, the types of label values, docs/METRICS.md and the tests of all these use this
 * table. Names without `peerglass_` and their labels are those of Spegel, so that its dashboards work.
 */
export const METRICS = {
  spegel_mirror_requests_total: {
    type: 'counter',
    help: 'Requests for content that is not held locally.',
    labels: {
      registry: REGISTRY,
      cache: { hit: 'a peer served it', miss: 'no peer did' },
      source: { internal: 'always; guides for older versions of Spegel select by it' },
    },
  },
  spegel_mirror_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'Unix time of the last request that a peer served.',
  },
  spegel_resolve_duration_seconds: {
    type: 'histogram',
    help: 'Time from the start of a lookup in the DHT to its first provider.',
    labels: { router: { libp2p: 'always' } },
    buckets: SECONDS,
  },
  spegel_advertised_images: {
    type: 'gauge',
    help: 'Advertised images, tags and digests together; the name in older versions of Spegel.',
    labels: { registry: REGISTRY },
  },
  spegel_advertised_image_tags: {
    type: 'gauge',
    help: 'Advertised image tags.',
    labels: { registry: REGISTRY },
  },
  spegel_advertised_image_digests: {
    type: 'gauge',
    help: 'Advertised digests of whole images: of the index or manifest that an image name points to.',
    labels: { registry: REGISTRY },
  },
  spegel_advertised_content_digests: {
    type: 'gauge',
    help: 'Advertised digests of any kind.',
    labels: { registry: `${REGISTRY}; empty for content that belongs to no image yet` },
  },
  http_request_duration_seconds: {
    type: 'histogram',
    help: 'Time to answer an HTTP request, body included.',
    labels: {
      handler: HANDLER,
      method: METHOD,
      code: 'HTTP status; 499 when the client left before the answer',
    },
    buckets: SECONDS,
  },
  http_response_size_bytes: {
    type: 'histogram',
    help: 'Bytes of an HTTP response, headers included.',
    labels: {
      handler: HANDLER,
      method: METHOD,
      code: 'HTTP status; 499 when the client left before the answer',
    },
    buckets: BYTES,
  },
  http_requests_inflight: {
    type: 'gauge',
    help: 'HTTP requests that are being answered.',
    labels: { handler: { registry: 'always' } },
  },
  peerglass_peer_bytes_total: {
    type: 'counter',
    help: 'Bytes of content exchanged with peers.',
    labels: { direction: { received: '', sent: '' } },
  },
  peerglass_fall_throughs_total: {
    type: 'counter',
    help: 'Requests that were left to the upstream registry.',
    labels: {
      reason: {
        'no-provider': 'no peer holds the content',
        'lookup-timeout': 'the DHT did not answer in time',
        'providers-failed': 'all peers that were asked failed',
        'providers-busy': 'at least one holder was busy, and no other served it',
        'memory-busy': 'no memory in time for content that is verified first',
        'not-shared': 'the configuration excludes the image',
      },
    },
  },
  peerglass_peer_failures_total: {
    type: 'counter',
    help: 'Requests to a peer that failed.',
    labels: {
      reason: {
        connect: 'no connection',
        timeout: 'no answer, or no more bytes, in time',
        'not-found': 'the peer does not hold the content',
        busy: 'the peer sends too many bodies already',
        status: 'an unexpected HTTP status',
        range: 'the requested range does not exist',
        protocol: 'an answer that does not match the request',
        digest: 'wrong bytes',
        body: 'the connection ended too early',
        tls: 'a certificate was not accepted',
        identity: 'something else answered, or the peer did not prove who it is',
      },
    },
  },
  peerglass_hedges_total: {
    type: 'counter',
    help: 'Requests for which other peers were asked beside a late one.',
    labels: { result: { won: 'one of the others delivered', lost: 'the late peer delivered' } },
  },
  peerglass_uploads_inflight: {
    type: 'gauge',
    help: 'Bodies that are being sent to peers and to other clients that are not on this node.',
  },
  peerglass_uploads_refused_total: {
    type: 'counter',
    help: 'Requests that were answered with 503, because too many bodies were being sent.',
    labels: {
      reason: {
        node: 'of this node',
        blob: 'of this blob',
        address: 'of this node, or of this blob, to the address that asked',
      },
    },
  },
  peerglass_peer_offences_total: {
    type: 'counter',
    help: 'Blobs for which a peer sent bytes with another digest.',
    labels: {
      peer: 'peer ID; at most 200 different ones, others are `other`',
      noticed: {
        'held-back': 'before the client got any byte',
        'passed-on': 'after the client had got some',
      },
    },
  },
  peerglass_banned_peers: {
    type: 'gauge',
    help: 'Peers that are blocked because they sent bytes with another digest.',
    labels: { from: { everything: 'for every key', content: 'for some keys only' } },
  },
  peerglass_verdicts_total: {
    type: 'counter',
    help: 'Large blobs that were forwarded before they were verified, by what became of them.',
    labels: {
      result: {
        committed: 'the client verified and committed the blob',
        right: 'it was hashed and has its digest',
        wrong: 'it was hashed and has another digest',
        lost: 'its bytes were removed before they could be hashed',
        unknown: 'the client gave up before it had the whole blob, or the store did not answer',
      },
    },
  },
  peerglass_resumes_total: {
    type: 'counter',
    help: 'Bodies that broke off or were slow, and were to be resumed from another peer.',
    labels: {
      result: {
        resumed: 'another peer continued',
        broken: 'no peer did',
        switched: 'another peer was clearly faster, and continued',
      },
    },
  },
  peerglass_first_byte_seconds: {
    type: 'histogram',
    help: 'Time from a request to the head of the answer of the peer that serves it, lookup included.',
    buckets: SECONDS,
  },
  peerglass_store_changes_total: {
    type: 'counter',
    help: 'Changes of the content store that were followed.',
    labels: {
      kind: {
        'image-set': 'an image was added or now has another target',
        'image-deleted': '',
        'blob-added': '',
        'blob-deleted': '',
        relist: 'changes may have been missed, and the store is listed again',
      },
    },
  },
  peerglass_store_reachable: {
    type: 'gauge',
    help: '1 while the changes of the content store are followed, 0 while containerd (or the layout) cannot be reached.',
  },
  peerglass_store_problems_total: {
    type: 'counter',
    help: 'Entries of the content store that are ignored.',
    labels: {
      reason: {
        'unparsable-name': 'an image name that is no reference',
        'broken-manifest': 'a manifest that cannot be read',
      },
    },
  },
  peerglass_tag_disagreements_total: {
    type: 'counter',
    help: 'Comparisons in which the holders of a tag had different digests for it.',
  },
  peerglass_blobs_corrupt: {
    type: 'gauge',
    help: 'Blobs of the content store that have wrong or unreadable bytes, or whose file is gone; they are neither served nor advertised. The log describes what to do.',
  },
  peerglass_blobs_verified_total: {
    type: 'counter',
    help: 'Blobs of the content store that were read to compare them with their digest.',
    labels: {
      result: {
        right: '',
        wrong: '',
        unreadable: '',
        gone: 'removed meanwhile',
        unsettled: 'being written meanwhile',
      },
    },
  },
  peerglass_advertise_lag_seconds: {
    type: 'histogram',
    help: 'Time from seeing content in the store until it is first provided to the DHT.',
    buckets: SECONDS,
  },
  peerglass_lookup_duration_seconds: {
    type: 'histogram',
    help: 'Time of a lookup in the DHT.',
    labels: {
      result: {
        hit: 'until the first provider',
        miss: 'until it was certain that there is none',
        aborted: 'until no request waited for it any more',
      },
    },
    buckets: SECONDS,
  },
  peerglass_placement_duration_seconds: {
    type: 'histogram',
    help: 'Time for a peer to accept a batch of provider records from this node.',
    buckets: SECONDS,
  },
  peerglass_placed_records_total: {
    type: 'counter',
    help: 'Provider records that peers have accepted from this node, repeated ones included.',
  },
  peerglass_placed_bytes_total: {
    type: 'counter',
    help: 'Bytes sent to provide records.',
  },
  peerglass_placement_failures_total: {
    type: 'counter',
    help: 'Batches of provider records that a peer did not accept; they are sent again later.',
  },
  peerglass_withdrawn_records_total: {
    type: 'counter',
    help: 'Provider records that peers have deleted because this node no longer holds the content.',
  },
  peerglass_directory_refusals_total: {
    type: 'counter',
    help: 'DHT requests of peers that were refused or delayed.',
    labels: {
      reason: {
        malformed: 'not a message of the protocol, too long, or not complete in time',
        'foreign-key': 'a record for a key of another network',
        'foreign-provider': 'a record of another peer than the sender',
        'no-room': 'too many records',
        'too-fast': 'too many requests: they are read later',
      },
    },
  },
  peerglass_directory_records: {
    type: 'gauge',
    help: 'Provider records that this node stores for the DHT, its own included.',
  },
  peerglass_routing_peers: {
    type: 'gauge',
    help: 'Peers in the routing table.',
  },
  peerglass_advertised_keys: {
    type: 'gauge',
    help: 'Keys that this node advertises.',
  },
  peerglass_data_plane: {
    type: 'gauge',
    help: '1 for the way in which large blobs are sent at present, 0 for the other.',
    labels: { path: { kernel: 'sendfile and splice', stream: 'through the process' } },
  },
  peerglass_hosts_files_written_total: {
    type: 'counter',
    help: 'With --configure: hosts.toml files of containerd that were written, at the start or because another program had changed them.',
  },
  peerglass_hosts_failures_total: {
    type: 'counter',
    help: 'With --configure: how often containerd could not be configured. The log has the reason.',
  },
  peerglass_http_requests_total: {
    type: 'counter',
    help: 'HTTP requests by protocol.',
    labels: {
      handler: { registry: 'always' },
      protocol: { http: '', https: 'HTTP/1.1 over TLS', h2: 'HTTP/2 over TLS' },
    },
  },
  peerglass_refused_total: {
    type: 'counter',
    help: 'What was refused to those who may not have it.',
    labels: {
      reason: {
        'swarm-key':
          'a connection with the router by a node with another swarm key, or without one',
        address: 'an address that a peer has named, and at which no node can be',
        connections: 'a connection with the router by a host that has too many',
        unsigned: 'content, to a client that is not on this node and not a node of the cluster',
        signature: 'content, to a request signed with another swarm key or identity',
        stale: 'content, to a request whose signature was used before or is of another time',
        unverified:
          'content, to a request whose signature was not verified, since too many of nodes unknown so far came within a second',
        client: 'a connection with the port of --mirror-addr by a client that is not on this node',
      },
    },
  },
  peerglass_open: {
    type: 'gauge',
    help: 'Whether nodes without a swarm key may connect: 1 or 0.',
  },
  peerglass_tls_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    help: 'Unix time at which the certificate expires that this node serves with or shows to peers, whichever is earlier; 0 without TLS.',
  },
  peerglass_tls_reloads_total: {
    type: 'counter',
    help: 'Changes of the files of certificate, key and authorities.',
    labels: {
      result: { loaded: '', refused: 'the new files cannot be used, and the old ones stay in use' },
    },
  },
  peerglass_tls_handshake_failures_total: {
    type: 'counter',
    help: 'Connections to the registry port that failed before the first request.',
    labels: {
      reason: {
        'plain-http': 'the client uses http',
        distrust: 'the client does not accept the certificate of this node',
        'client-certificate': 'the client has no certificate that this node accepts',
        'no-tls-here': 'the client uses TLS and this mirror has none',
        other: '',
      },
    },
  },
  peerglass_ready: {
    type: 'gauge',
    help: '1 while /readyz answers 200.',
  },
  peerglass_memory_limit_bytes: {
    type: 'gauge',
    help: 'Memory limit of the control group of the process; 0 without a limit.',
  },
  ...FAN_OUT_METRICS,
  ...UPSTREAM_METRICS,
} as const satisfies Record<string, MetricRow>;

/** The name of a metric of the table. */
export type MetricName = keyof typeof METRICS;

/** The rows of the labels of a metric. */
type LabelRows<N extends MetricName> = (typeof METRICS)[N] extends { readonly labels: infer L }
  ? L
  : never;

/** The names of the labels of a metric. */
export type LabelName<N extends MetricName> = [LabelRows<N>] extends [never]
  ? never
  : keyof LabelRows<N> & string;

/** The values of one label: those of the table, or any for an open label. */
export type LabelValue<
  N extends MetricName,
  L extends LabelName<N>,
> = LabelRows<N>[L] extends string ? string | number : keyof LabelRows<N>[L] & string;

/** The values of all labels of a metric. */
export type LabelSet<N extends MetricName> = { readonly [L in LabelName<N>]: LabelValue<N, L> };

/** The rows of the labels of a metric, by name; empty when it has none. */
export function labelsOf(row: MetricRow): Readonly<Record<string, LabelRow>> {
  return row.labels ?? {};
}

/** The text at `/metrics`: what the metric counts, and the values of its labels. */
export function helpOf(row: MetricRow): string {
  const labels = Object.entries(labelsOf(row)).map(
    ([label, values]) => ` ${label}: ${describeLabel(values, (value) => value)}.`,
  );
  return row.help + labels.join('');
}

/**
 * One label in words.
 *
 * @param quote marks a value as such
 */
export function describeLabel(values: LabelRow, quote: (value: string) => string): string {
  if (typeof values === 'string') return values;
  return Object.entries(values)
    .map(([value, meaning]) => quote(value) + (meaning === '' ? '' : ` (${meaning})`))
    .join(', ');
}
