/** One row of the table of metrics. */
interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram's buckets, in the unit of its name. */
  readonly buckets?: readonly number[];
}

/** From a tenth of a millisecond, where a local lookup lies, to ten seconds, where a pull is lost. */
const SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const BYTES = [1024, 16_384, 262_144, 1_048_576, 16_777_216, 134_217_728, 1_073_741_824];

/**
 * Every metric of ours, once: registration, docs/METRICS.md and the tests of both come from here. The
 * names without `peerglass_` and their labels are Spegel's, so that its dashboards work.
 */
export const METRICS = {
  spegel_mirror_requests_total: {
    type: 'counter',
    labels: ['registry', 'cache', 'source'],
    help: 'Requests for content not held locally, by registry; cache is hit when a peer had it, else miss. source is always internal: older guides of Spegel ask for it.',
  },
  spegel_mirror_last_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Unix time of the last request that a peer answered.',
  },
  spegel_resolve_duration_seconds: {
    type: 'histogram',
    labels: ['router'],
    help: 'Time from asking the directory to its first provider.',
    buckets: SECONDS,
  },
  spegel_advertised_images: {
    type: 'gauge',
    labels: ['registry'],
    help: 'Images advertised, tags and digests together; the name of older Spegel versions.',
  },
  spegel_advertised_image_tags: {
    type: 'gauge',
    labels: ['registry'],
    help: 'Image tags advertised.',
  },
  spegel_advertised_image_digests: {
    type: 'gauge',
    labels: ['registry'],
    help: 'Digests of whole images (index or manifest that an image name points to) advertised.',
  },
  spegel_advertised_content_digests: {
    type: 'gauge',
    labels: ['registry'],
    help: 'Digests advertised, of any kind; registry is empty for content of no image yet.',
  },
  http_request_duration_seconds: {
    type: 'histogram',
    labels: ['handler', 'method', 'code'],
    help: 'Time to answer an HTTP request, body included.',
    buckets: SECONDS,
  },
  http_response_size_bytes: {
    type: 'histogram',
    labels: ['handler', 'method', 'code'],
    help: 'Bytes sent in an HTTP response, head included.',
    buckets: BYTES,
  },
  http_requests_inflight: {
    type: 'gauge',
    labels: ['handler'],
    help: 'HTTP requests being answered.',
  },
  peerglass_peer_bytes_total: {
    type: 'counter',
    labels: ['direction'],
    help: 'Bytes of content exchanged with peers; direction is received or sent.',
  },
  peerglass_fall_throughs_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Requests left to the upstream registry: no-provider, lookup-timeout, providers-failed, providers-busy, not-shared.',
  },
  peerglass_peer_failures_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Requests to a peer that failed: connect, timeout, not-found, busy, status, range, protocol, digest, body, tls.',
  },
  peerglass_hedges_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Requests for which a peer was late and others were asked beside it; result is won when one of those delivered, lost when the late one did.',
  },
  peerglass_uploads_inflight: {
    type: 'gauge',
    labels: [],
    help: 'Bodies being sent to peers.',
  },
  peerglass_uploads_refused_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Requests of peers answered with 503 because too many bodies were being sent: of this node, or of this blob.',
  },
  peerglass_peer_offences_total: {
    type: 'counter',
    labels: ['peer', 'noticed'],
    help: 'Blobs for which a peer sent wrong bytes, by its peer ID (`other` beyond 200); noticed is held-back when none of them was passed on, else passed-on.',
  },
  peerglass_banned_peers: {
    type: 'gauge',
    labels: ['from'],
    help: 'Peers that are not asked because of wrong bytes; from is everything, or content when it is about some blobs alone.',
  },
  peerglass_verdicts_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Large blobs passed on unverified, by what became of them: committed by the client, right or wrong when they were hashed, unknown when neither was possible.',
  },
  peerglass_resumes_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Bodies that broke and were to go on from another peer; result is resumed or broken.',
  },
  peerglass_first_byte_seconds: {
    type: 'histogram',
    labels: [],
    help: "Time from a request to the head of the peer's answer that serves it, lookup included.",
    buckets: SECONDS,
  },
  peerglass_store_changes_total: {
    type: 'counter',
    labels: ['kind'],
    help: 'Changes of the content store followed, by kind.',
  },
  peerglass_store_reachable: {
    type: 'gauge',
    labels: [],
    help: '1 while the changes of the content store are followed, 0 while containerd (or the layout) is away.',
  },
  peerglass_store_problems_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Things in the content store that are left out: unparsable-name, broken-manifest.',
  },
  peerglass_blobs_corrupt: {
    type: 'gauge',
    labels: [],
    help: 'Blobs of the content store whose bytes are wrong or unreadable; neither served nor advertised. The log says what to do.',
  },
  peerglass_blobs_verified_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Blobs read to compare them with their digest: right, wrong, unreadable; gone or unsettled (being written) meanwhile.',
  },
  peerglass_advertise_lag_seconds: {
    type: 'histogram',
    labels: [],
    help: 'Time from seeing content in the store to its first placement in the directory.',
    buckets: SECONDS,
  },
  peerglass_lookup_duration_seconds: {
    type: 'histogram',
    labels: ['result'],
    help: 'Time of a lookup until its first provider (result hit), or until it was certain that there is none (miss); aborted when nobody waited any more.',
    buckets: SECONDS,
  },
  peerglass_placement_duration_seconds: {
    type: 'histogram',
    labels: [],
    help: 'Time for a peer to take and confirm a batch of our records.',
    buckets: SECONDS,
  },
  peerglass_placed_records_total: {
    type: 'counter',
    labels: [],
    help: 'Records that peers have taken from us, refreshes included.',
  },
  peerglass_placed_bytes_total: {
    type: 'counter',
    labels: [],
    help: 'Bytes sent to place records.',
  },
  peerglass_placement_failures_total: {
    type: 'counter',
    labels: [],
    help: 'Batches of records that a peer did not take; they are placed again later.',
  },
  peerglass_withdrawn_records_total: {
    type: 'counter',
    labels: [],
    help: 'Records that peers have forgotten because we no longer hold the content.',
  },
  peerglass_directory_refusals_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Requests of peers to the directory that were not taken: malformed, foreign-key, foreign-provider, no-room; or read later: too-fast.',
  },
  peerglass_directory_records: {
    type: 'gauge',
    labels: [],
    help: 'Provider records kept for other nodes and for this one.',
  },
  peerglass_routing_peers: {
    type: 'gauge',
    labels: [],
    help: 'Peers in the routing table.',
  },
  peerglass_advertised_keys: {
    type: 'gauge',
    labels: [],
    help: 'Keys that this node advertises.',
  },
  peerglass_data_plane: {
    type: 'gauge',
    labels: ['path'],
    help: '1 for the way that large blobs take at present: kernel (sendfile, splice) or stream.',
  },
  peerglass_hosts_files_written_total: {
    type: 'counter',
    labels: [],
    help: 'With --configure: hosts.toml files of containerd that were written, at the start or because somebody had changed them.',
  },
  peerglass_hosts_failures_total: {
    type: 'counter',
    labels: [],
    help: 'With --configure: times that containerd could not be configured. The log says why.',
  },
  peerglass_http_requests_total: {
    type: 'counter',
    labels: ['handler', 'protocol'],
    help: 'HTTP requests by how they came: http, https (HTTP/1.1 over TLS) or h2 (HTTP/2 over TLS).',
  },
  peerglass_tls_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Unix time at which the certificate that is being served expires; 0 without TLS.',
  },
  peerglass_tls_reloads_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Changes of the files of certificate, key and authorities; result is loaded, or refused when the new ones cannot be used and the old ones serve on.',
  },
  peerglass_tls_handshake_failures_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Connections to the registry that came to nothing: plain-http (a client that speaks http), distrust (it does not accept our certificate), client-certificate (it showed none, or none that we accept), no-tls-here (a client that speaks TLS to a mirror without), other.',
  },
  peerglass_ready: {
    type: 'gauge',
    labels: [],
    help: '1 while /readyz answers 200.',
  },
  peerglass_memory_limit_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory that the control group of the process may take; 0 without a limit.',
  },
} as const satisfies Record<string, MetricRow>;

/** The name of a metric of the table. */
export type MetricName = keyof typeof METRICS;
