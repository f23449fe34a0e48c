import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

import { METRICS, type MetricName } from './table.ts';

/** The metrics that components count into; `docs/METRICS.md` lists them all. */
export interface Metrics {
  readonly registry: Registry;
  readonly mirrorRequests: Counter<'registry' | 'cache' | 'source'>;
  readonly mirrorLastSuccess: Gauge;
  readonly resolveDuration: Histogram<'router'>;
  readonly advertisedImages: Gauge<'registry'>;
  readonly advertisedImageTags: Gauge<'registry'>;
  readonly advertisedImageDigests: Gauge<'registry'>;
  readonly advertisedContentDigests: Gauge<'registry'>;
  readonly httpDuration: Histogram<'handler' | 'method' | 'code'>;
  readonly httpResponseSize: Histogram<'handler' | 'method' | 'code'>;
  readonly httpInflight: Gauge<'handler'>;
  readonly peerBytes: Counter<'direction'>;
  readonly fallThroughs: Counter<'reason'>;
  readonly peerFailures: Counter<'reason'>;
  readonly digestMismatches: Counter<'peer' | 'noticed'>;
  readonly blockedPeers: Gauge<'from'>;
  readonly deliveryResults: Counter<'result'>;
  readonly hedges: Counter<'result'>;
  readonly uploads: Gauge;
  readonly uploadsRefused: Counter<'reason'>;
  readonly resumes: Counter<'result'>;
  readonly firstByte: Histogram;
  readonly storeChanges: Counter<'kind'>;
  readonly storeReachable: Gauge;
  readonly storeProblems: Counter<'reason'>;
  readonly blobsCorrupt: Gauge;
  readonly blobsVerified: Counter<'result'>;
  readonly advertiseLag: Histogram;
  readonly lookupDuration: Histogram<'result'>;
  readonly provideDuration: Histogram;
  readonly providedRecords: Counter;
  readonly providedBytes: Counter;
  readonly provideFailures: Counter;
  readonly withdrawnRecords: Counter;
  readonly dhtRefusals: Counter<'reason'>;
  readonly dhtRecords: Gauge;
  readonly routingPeers: Gauge;
  readonly advertisedKeys: Gauge;
  readonly dataPlane: Gauge<'path'>;
  readonly hostsFilesWritten: Counter;
  readonly hostsFailures: Counter;
  readonly httpRequests: Counter<'handler' | 'protocol'>;
  readonly tlsCertificateExpiry: Gauge;
  readonly tlsReloads: Counter<'result'>;
  readonly tlsHandshakeFailures: Counter<'reason'>;
  readonly ready: Gauge;
  readonly memoryLimit: Gauge;
}

/** How often the event loop's lag is looked at. prom-client's 10 ms were most of what an idle agent did. */
const LAG_PRECISION_MS = 200;

/**
 * Makes every metric of the table in a registry of its own, with the process metrics of prom-client.
 *
 * Two agents in one process (tests) never share counts.
 */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  const base = (name: MetricName): { name: string; help: string; registers: Registry[] } => ({
    name,
    help: METRICS[name].help,
    registers: [registry],
  });
  const labels = <L extends string>(name: MetricName): L[] => [...METRICS[name].labels] as L[];
  const counter = <L extends string>(name: MetricName): Counter<L> =>
    new Counter({ ...base(name), labelNames: labels<L>(name) });
  const gauge = <L extends string>(name: MetricName): Gauge<L> =>
    new Gauge({ ...base(name), labelNames: labels<L>(name) });
  const histogram = <L extends string>(name: MetricName): Histogram<L> => {
    const metric = METRICS[name];
    const buckets = 'buckets' in metric ? [...metric.buckets] : [];
    return new Histogram({ ...base(name), labelNames: labels<L>(name), buckets });
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
    ready: gauge('peerglass_ready'),
    memoryLimit: gauge('peerglass_memory_limit_bytes'),
  };
}
