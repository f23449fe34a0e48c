import { isIP } from 'node:net';

import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { HostPort } from '../config/values.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Bootstrapper } from '../routing/bootstrap/bootstrapper.ts';
import { DnsBootstrapper } from '../routing/bootstrap/dns-bootstrapper.ts';
import { HttpBootstrapper } from '../routing/bootstrap/http-bootstrapper.ts';
import { StaticBootstrapper } from '../routing/bootstrap/static-bootstrapper.ts';
import { serviceNetworks } from '../routing/node/address-policy.ts';
import type { RoutingObserver } from '../routing/routing-observer.ts';

/** What the options ask of the router. */
export interface RoutingSettings {
  readonly bootstrapper: Bootstrapper;
  /** Multiaddrs. */
  readonly listen: readonly string[];
  /** How often records are provided again, in milliseconds. */
  readonly refreshMs: number;
  /** How long peers believe a record, in milliseconds. */
  readonly validityMs: number;
  /** Connections with peers that the node keeps. */
  readonly maxConnections: number;
  /** Networks in which there are no nodes. */
  readonly refusedNetworks: readonly string[];
}

/**
 * Reads the options of the router.
 *
 * @throws UsageError when they contradict each other or one is missing
 */
export function routingSettings(config: RegistryConfig): RoutingSettings {
  return {
    bootstrapper: createBootstrapper(config),
    listen: listenMultiaddrs(config['router-addr']),
    ...recordTimes(config),
    maxConnections: config['max-connections'],
    refusedNetworks: [
      ...config['refused-networks'],
      ...serviceNetworks(process.env['KUBERNETES_SERVICE_HOST']),
    ],
  };
}

/**
 * Makes the bootstrapper of the kind that the options choose.
 *
 * @throws UsageError when the option that this kind needs is missing
 */
function createBootstrapper(config: RegistryConfig): Bootstrapper {
  switch (config['bootstrap-kind']) {
    case 'dns': {
      const domain = config['dns-bootstrap-domain'];
      if (domain === '') {
        throw new UsageError('--bootstrap-kind dns needs --dns-bootstrap-domain NAME');
      }
      return new DnsBootstrapper({ domain, port: config['router-addr'].port });
    }
    case 'http': {
      const peer = config['http-bootstrap-peer'];
      if (peer === '')
        throw new UsageError('--bootstrap-kind http needs --http-bootstrap-peer URL');
      return new HttpBootstrapper(peer);
    }
    case 'static':
      return new StaticBootstrapper(config['static-bootstrap-peers']);
  }
}

/**
 * The multiaddrs to listen on. Without a host, they are all IPv4 and IPv6 addresses.
 *
 * @throws UsageError for a host name, because the address behind it may change
 */
function listenMultiaddrs({ host, port }: HostPort): string[] {
  if (host === '') return [`/ip4/0.0.0.0/tcp/${port}`, `/ip6/::/tcp/${port}`];
  const version = isIP(host);
  if (version === 0)
    throw new UsageError(`--router-addr: "${host}" is no IP address; write IP:PORT or :PORT`);
  return [`/ip${version}/${host}/tcp/${port}`];
}

/** @throws UsageError when records would expire before they are provided again */
function recordTimes(config: RegistryConfig): { refreshMs: number; validityMs: number } {
  const [refreshMs, validityMs] = [config['record-refresh'], config['record-validity']];
  if (refreshMs >= validityMs) {
    throw new UsageError(
      '--record-refresh must be shorter than --record-validity, or records expire before they are provided again',
    );
  }
  return { refreshMs, validityMs };
}

/** Counts the work of the router in the metrics. */
export function countRouting(metrics: Metrics): Required<RoutingObserver> {
  return {
    onLookup(result, seconds) {
      metrics.lookupDuration.observe({ result }, seconds);
    },
    onProvide(records, bytes, seconds) {
      metrics.providedRecords.inc(records);
      metrics.providedBytes.inc(bytes);
      metrics.provideDuration.observe(seconds);
    },
    onProvideFailure() {
      metrics.provideFailures.inc();
    },
    onWithdrawal(records) {
      metrics.withdrawnRecords.inc(records);
    },
    onRefusal(reason) {
      metrics.dhtRefusals.inc({ reason });
    },
  };
}
