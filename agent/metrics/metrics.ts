import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

import {
  helpOf,
  labelsOf,
  METRICS,
  type LabelName,
  type LabelSet,
  type MetricName,
  type MetricRow,
} from './table.ts';

/** The arguments with the labels of a metric: none when it has none. */
type Labels<N extends MetricName> = LabelName<N> extends never ? [] : [labels: LabelSet<N>];

/** A counter of the table; its labels take the declared values alone. */
interface CounterOf<N extends MetricName> extends Pick<Counter<LabelName<N>>, 'get' | 'reset'> {
  inc(...args: [...labels: Labels<N>, value?: number]): void;
}

/** A gauge of the table; its labels take the declared values alone. */
interface GaugeOf<N extends MetricName> extends Pick<Gauge<LabelName<N>>, 'get' | 'reset'> {
  set(...args: [...labels: Labels<N>, value: number]): void;
  inc(...args: [...labels: Labels<N>, value?: number]): void;
  dec(...args: [...labels: Labels<N>, value?: number]): void;
  setToCurrentTime(...labels: Labels<N>): void;
}

/** A histogram of the table; its labels take the declared values alone. */
interface HistogramOf<N extends MetricName> extends Pick<Histogram<LabelName<N>>, 'get' | 'reset'> {
  observe(...args: [...labels: Labels<N>, value: number]): void;
}

/** The metrics that components count into; `docs/METRICS.md` lists them all. */
export interface Metrics {
  readonly registry: Registry;
  readonly mirrorRequests: CounterOf<'spegel_mirror_requests_total'>;
  readonly mirrorLastSuccess: GaugeOf<'spegel_mirror_last_success_timestamp_seconds'>;
  readonly resolveDuration: HistogramOf<'spegel_resolve_duration_seconds'>;
  readonly advertisedImages: GaugeOf<'spegel_advertised_images'>;
  readonly advertisedImageTags: GaugeOf<'spegel_advertised_image_tags'>;
  readonly advertisedImageDigests: GaugeOf<'spegel_advertised_image_digests'>;
  readonly advertisedContentDigests: GaugeOf<'spegel_advertised_content_digests'>;
  readonly httpDuration: HistogramOf<'http_request_duration_seconds'>;
  readonly httpResponseSize: HistogramOf<'http_response_size_bytes'>;
  readonly httpInflight: GaugeOf<'http_requests_inflight'>;
  readonly peerBytes: CounterOf<'peerglass_peer_bytes_total'>;
  readonly fallThroughs: CounterOf<'peerglass_fall_throughs_total'>;
  readonly peerFailures: CounterOf<'peerglass_peer_failures_total'>;
  readonly digestMismatches: CounterOf<'peerglass_peer_offences_total'>;
  readonly blockedPeers: GaugeOf<'peerglass_banned_peers'>;
  readonly deliveryResults: CounterOf<'peerglass_verdicts_total'>;
  readonly hedges: CounterOf<'peerglass_hedges_total'>;
  readonly uploads: GaugeOf<'peerglass_uploads_inflight'>;
  readonly uploadsRefused: CounterOf<'peerglass_uploads_refused_total'>;
  readonly resumes: CounterOf<'peerglass_resumes_total'>;
  readonly firstByte: HistogramOf<'peerglass_first_byte_seconds'>;
  readonly storeChanges: CounterOf<'peerglass_store_changes_total'>;
  readonly storeReachable: GaugeOf<'peerglass_store_reachable'>;
  readonly storeProblems: CounterOf<'peerglass_store_problems_total'>;
  readonly tagDisagreements: CounterOf<'peerglass_tag_disagreements_total'>;
  readonly blobsCorrupt: GaugeOf<'peerglass_blobs_corrupt'>;
  readonly blobsVerified: CounterOf<'peerglass_blobs_verified_total'>;
  readonly advertiseLag: HistogramOf<'peerglass_advertise_lag_seconds'>;
  readonly lookupDuration: HistogramOf<'peerglass_lookup_duration_seconds'>;
  readonly provideDuration: HistogramOf<'peerglass_placement_duration_seconds'>;
  readonly providedRecords: CounterOf<'peerglass_placed_records_total'>;
  readonly providedBytes: CounterOf<'peerglass_placed_bytes_total'>;
  readonly provideFailures: CounterOf<'peerglass_placement_failures_total'>;
  readonly withdrawnRecords: CounterOf<'peerglass_withdrawn_records_total'>;
  readonly dhtRefusals: CounterOf<'peerglass_directory_refusals_total'>;
  readonly refused: CounterOf<'peerglass_refused_total'>;
  readonly open: GaugeOf<'peerglass_open'>;
  readonly dhtRecords: GaugeOf<'peerglass_directory_records'>;
  readonly routingPeers: GaugeOf<'peerglass_routing_peers'>;
  readonly advertisedKeys: GaugeOf<'peerglass_advertised_keys'>;
  readonly dataPlane: GaugeOf<'peerglass_data_plane'>;
  readonly hostsFilesWritten: CounterOf<'peerglass_hosts_files_written_total'>;
  readonly hostsFailures: CounterOf<'peerglass_hosts_failures_total'>;
  readonly httpRequests: CounterOf<'peerglass_http_requests_total'>;
  readonly tlsCertificateExpiry: GaugeOf<'peerglass_tls_certificate_expiry_timestamp_seconds'>;
  readonly tlsReloads: CounterOf<'peerglass_tls_reloads_total'>;
  readonly tlsHandshakeFailures: CounterOf<'peerglass_tls_handshake_failures_total'>;
  readonly fanOutDecisions: CounterOf<'peerglass_fan_out_decisions_total'>;
  readonly fanOutQuestion: HistogramOf<'peerglass_fan_out_question_seconds'>;
  readonly fanOutWaits: CounterOf<'peerglass_fan_out_waits_total'>;
  readonly fanOutBytes: CounterOf<'peerglass_fan_out_bytes_total'>;
  readonly fanOutDownloads: GaugeOf<'peerglass_fan_out_downloads'>;
  readonly fanOutFollowers: GaugeOf<'peerglass_fan_out_followers'>;
  readonly upstreamRequests: CounterOf<'peerglass_upstream_requests_total'>;
  readonly upstreamBytes: CounterOf<'peerglass_upstream_bytes_total'>;
  readonly upstreamFailures: CounterOf<'peerglass_upstream_failures_total'>;
  readonly upstreamTags: CounterOf<'peerglass_upstream_tags_total'>;
  readonly upstreamWidened: CounterOf<'peerglass_upstream_widened_total'>;
  readonly upstreamRemaining: GaugeOf<'peerglass_upstream_pulls_remaining'>;
  readonly ready: GaugeOf<'peerglass_ready'>;
  readonly memoryLimit: GaugeOf<'peerglass_memory_limit_bytes'>;
}

/** How often the lag of the event loop is measured. prom-client's 10 ms took most of the CPU of an idle agent. */
const LAG_PRECISION_MS = 200;

/**
 * Makes every metric of the table, and the process metrics of prom-client, in a new registry: two agents in one process
 * (tests) never share counts.
 */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  const base = (name: MetricName) => {
    const row: MetricRow = METRICS[name];
    const labelNames = Object.keys(labelsOf(row));
    return { name, help: helpOf(row), labelNames, registers: [registry] };
  };
  // The labels of each are those of the table. The compiler cannot see this while the name is a type parameter.
  const counter = <N extends MetricName>(name: N): CounterOf<N> =>
    new Counter(base(name)) as unknown as CounterOf<N>;
  const gauge = <N extends MetricName>(name: N): GaugeOf<N> =>
    new Gauge(base(name)) as unknown as GaugeOf<N>;
  const histogram = <N extends MetricName>(name: N): HistogramOf<N> => {
    const { buckets = [] }: MetricRow = METRICS[name];
    const made = new Histogram({ ...base(name), buckets: [...buckets] });
    return made as unknown as HistogramOf<N>;
  };

  return {
    registry,
    mirrorRequests: counter('spegel_mirror_requests_total'),
    mirrorLastSuccess: gauge('spegel_mirror_last_success_timestamp_seconds'),
    resolveDuration: histogram('spegel_resolve_duration_seconds'),
    advertisedImages: gauge('spegel_advertised_images'),
    advertisedImageTags: gauge('spegel_advertised_image_tags'),
    advertisedImageDigests: gauge('spegel_advertised_image_digests'),
    advertisedContentDigests: gauge('spegel_advertised_content_digests'),
    httpDuration: histogram('http_request_duration_seconds'),
    httpResponseSize: histogram('http_response_size_bytes'),
    httpInflight: gauge('http_requests_inflight'),
    peerBytes: counter('peerglass_peer_bytes_total'),
    fallThroughs: counter('peerglass_fall_throughs_total'),
    peerFailures: counter('peerglass_peer_failures_total'),
    digestMismatches: counter('peerglass_peer_offences_total'),
    blockedPeers: gauge('peerglass_banned_peers'),
    deliveryResults: counter('peerglass_verdicts_total'),
    hedges: counter('peerglass_hedges_total'),
    uploads: gauge('peerglass_uploads_inflight'),
    uploadsRefused: counter('peerglass_uploads_refused_total'),
    resumes: counter('peerglass_resumes_total'),
    firstByte: histogram('peerglass_first_byte_seconds'),
    storeChanges: counter('peerglass_store_changes_total'),
    storeReachable: gauge('peerglass_store_reachable'),
    storeProblems: counter('peerglass_store_problems_total'),
    tagDisagreements: counter('peerglass_tag_disagreements_total'),
    blobsCorrupt: gauge('peerglass_blobs_corrupt'),
    blobsVerified: counter('peerglass_blobs_verified_total'),
    advertiseLag: histogram('peerglass_advertise_lag_seconds'),
    lookupDuration: histogram('peerglass_lookup_duration_seconds'),
    provideDuration: histogram('peerglass_placement_duration_seconds'),
    providedRecords: counter('peerglass_placed_records_total'),
    providedBytes: counter('peerglass_placed_bytes_total'),
    provideFailures: counter('peerglass_placement_failures_total'),
    withdrawnRecords: counter('peerglass_withdrawn_records_total'),
    dhtRefusals: counter('peerglass_directory_refusals_total'),
    refused: counter('peerglass_refused_total'),
    open: gauge('peerglass_open'),
    dhtRecords: gauge('peerglass_directory_records'),
    routingPeers: gauge('peerglass_routing_peers'),
    advertisedKeys: gauge('peerglass_advertised_keys'),
    dataPlane: gauge('peerglass_data_plane'),
    hostsFilesWritten: counter('peerglass_hosts_files_written_total'),
    hostsFailures: counter('peerglass_hosts_failures_total'),
    httpRequests: counter('peerglass_http_requests_total'),
    tlsCertificateExpiry: gauge('peerglass_tls_certificate_expiry_timestamp_seconds'),
    tlsReloads: counter('peerglass_tls_reloads_total'),
    tlsHandshakeFailures: counter('peerglass_tls_handshake_failures_total'),
    fanOutDecisions: counter('peerglass_fan_out_decisions_total'),
    fanOutQuestion: histogram('peerglass_fan_out_question_seconds'),
    fanOutWaits: counter('peerglass_fan_out_waits_total'),
    fanOutBytes: counter('peerglass_fan_out_bytes_total'),
    fanOutDownloads: gauge('peerglass_fan_out_downloads'),
    fanOutFollowers: gauge('peerglass_fan_out_followers'),
    upstreamRequests: counter('peerglass_upstream_requests_total'),
    upstreamBytes: counter('peerglass_upstream_bytes_total'),
    upstreamFailures: counter('peerglass_upstream_failures_total'),
    upstreamTags: counter('peerglass_upstream_tags_total'),
    upstreamWidened: counter('peerglass_upstream_widened_total'),
    upstreamRemaining: gauge('peerglass_upstream_pulls_remaining'),
    ready: gauge('peerglass_ready'),
    memoryLimit: gauge('peerglass_memory_limit_bytes'),
  };
}
