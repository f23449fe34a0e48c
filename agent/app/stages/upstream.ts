import type { Logger } from 'pino';

import type { RegistryConfig } from '../../config/options.ts';
import type { SharedChecks } from '../../content/registry-tags.ts';
import type { TailWriter } from '../../content/tail-writer.ts';
import { isOnLoopback } from '../../http/local-clients.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { ContentStore } from '../../store/content-store.ts';
import { createUpstream, type Upstream } from '../../upstream/create-upstream.ts';
import { UpstreamEndpoints } from '../../upstream/where/upstream-endpoints.ts';
import type { UpstreamSettings } from '../upstream-settings.ts';
import { VERSION } from '../version.ts';

/** What {@link upstreamStage} needs of the stages before it. */
export interface UpstreamStageComponents {
  readonly settings: UpstreamSettings;
  readonly store: Pick<ContentStore, 'ingests'>;
  /** See `UpstreamSourceComponents`. */
  readonly tails?: TailWriter | undefined;
  /** Whether an address is of this node. */
  readonly isLocal: (address: string | undefined) => boolean;
  /** Default: no body is moved by the kernel. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'> | undefined;
  /** See `CreateUpstreamComponents`. */
  readonly sharing?: SharedChecks | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * Makes what fetches from registries.
 *
 * @param ports of the mirror of this node: an endpoint there would have the agent ask itself
 */
export function upstreamStage(
  config: Pick<
    RegistryConfig,
    | 'upstream-timeout'
    | 'upstream-connections'
    | 'upstream-token-servers'
    | 'tag-ttl'
    | 'stale-tags'
  >,
  { settings, store, tails, isLocal, dataPlane, sharing, metrics, logger }: UpstreamStageComponents,
  ports: readonly number[],
): Upstream {
  const isOwn = ({ hostname, port, protocol }: URL): boolean => {
    const number = Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    return ports.includes(number) && (host === 'localhost' || isLocal(host));
  };
  const endpoints = new UpstreamEndpoints({ ...settings.endpoints, isOwn });
  const nameUnusable = (): void => {
    for (const pattern of endpoints.unusableRewrites.slice(0, 16)) {
      logger.warn({ pattern }, 'a rewrite of registries.yaml is left out: its syntax is not known');
    }
  };
  nameUnusable();
  settings.registries?.onChange(nameUnusable);
  const { credentials } = settings;
  const isVerifiedByClient = async (
    ...[digest]: Parameters<NonNullable<typeof store.ingests>['has']>
  ) => (await store.ingests?.has(digest)) === true;
  const names = settings.endpoints.names.map((name) => name?.registry ?? '*');
  logger.info(
    { registries: names },
    'fetching from registries for clients of this node (--upstream)',
  );
  return createUpstream(
    { endpoints, credentials, isVerifiedByClient, tails, dataPlane, sharing, metrics, logger },
    {
      timeout: config['upstream-timeout'],
      tagTtl: config['tag-ttl'],
      staleTags: config['stale-tags'],
      widening: { connections: Number(config['upstream-connections']) },
      userAgent: `peerglass/${VERSION}`,
      tokenServers: config['upstream-token-servers'],
      environment: process.env,
    },
  );
}

/**
 * For which clients this node goes to registries: those on it. With `--mirror-clients any` only those on loopback, because
 * kube-proxy gives the address of a node to clients elsewhere.
 */
export function ownClients(
  config: Pick<RegistryConfig, 'mirror-clients'>,
  isLocal: (address: string | undefined) => boolean,
): (address: string | undefined) => boolean {
  return config['mirror-clients'] === 'any' ? isOnLoopback : isLocal;
}
