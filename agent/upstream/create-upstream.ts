import type { Logger } from 'pino';

import type { ContentSource } from '../content/content-source.ts';
import { SingleFlightSource } from '../content/single-flight-source.ts';
import { BoundedLabels } from '../metrics/bounded-labels.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { DataPlane } from '../native/data-plane.ts';
import { proxySettingsOf, proxyUrlFor } from '../proxies/proxy-settings.ts';
import { HashingThread } from '../transfer/verify/hashing-thread.ts';
import { Authorizer } from './auth/authorizer.ts';
import { TokenClient } from './auth/token-client.ts';
import { single } from './client/answer-text.ts';
import type { WideningInit } from './client/blob-windows.ts';
import { WindowBudget } from './client/range-window.ts';
import { RegistryClient } from './client/registry-client.ts';
import { UpstreamAgents } from './client/upstream-agents.ts';
import { UpstreamSource, type UpstreamSourceComponents } from './upstream-source.ts';
import type { UpstreamCredentials } from './where/upstream-credentials.ts';
import type { UpstreamEndpoints } from './where/upstream-endpoints.ts';

/** Longest time to connect, in milliseconds, so that a host that is gone leaves time for the next one. */
const MAX_CONNECT_MS = 5_000;

/** What the rest of the agent gives to its upstream. */
export interface CreateUpstreamComponents extends Pick<
  UpstreamSourceComponents,
  'isVerifiedByClient' | 'tails'
> {
  readonly endpoints: UpstreamEndpoints;
  readonly credentials: Pick<UpstreamCredentials, 'of' | 'onChange'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Moves bodies by http. Default: all bodies go through the process. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'> | undefined;
}

/** Options of {@link createUpstream}. */
export interface CreateUpstreamInit {
  /** See `RegistryClientInit`. Also the longest silence of a body, in milliseconds. */
  readonly timeout: number;
  readonly userAgent: string;
  /** See {@link WideningInit}. Default: one connection for each blob. */
  readonly widening?: Partial<Omit<WideningInit, 'budget'>>;
  /** With `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. Default: no proxies. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Registries as a source of content. */
export interface Upstream {
  readonly source: ContentSource;
  /** Ends every connection. */
  stop(): Promise<void>;
}

/** Makes an {@link UpstreamSource}, with a single flight for manifests, and all parts of it. */
export function createUpstream(
  components: CreateUpstreamComponents,
  { timeout, userAgent, widening, environment = {} }: CreateUpstreamInit,
): Upstream {
  const { endpoints, credentials, metrics, logger, isVerifiedByClient, tails, dataPlane } =
    components;
  const thread = new HashingThread();
  const labels = new BoundedLabels();
  const label = labels.label.bind(labels);
  const connectTimeout = Math.min(timeout, MAX_CONNECT_MS);
  const proxies = proxySettingsOf(environment);
  const hasProxy = proxies.http !== '' || proxies.https !== '';
  const agents = new UpstreamAgents({
    ...{ connectTimeout, silence: timeout },
    ...(hasProxy && { proxyFor: (url) => proxyUrlFor(url, proxies) }),
  });
  const tokens = new TokenClient({
    agents,
    userAgent,
    onRequest: ({ registry }) => {
      metrics.upstreamRequests.inc({ registry: label(registry), kind: 'token' });
    },
  });
  const authorizer = new Authorizer({ tokens, credentials });
  credentials.onChange(() => {
    authorizer.forget();
  });
  const client = new RegistryClient(
    {
      agents,
      authorizer,
      onAnswer: ({ registry }, headers) => {
        // Docker Hub: `76;w=21600`
        const [, remaining] =
          /^(\d{1,9})(?:;|$)/.exec(single(headers['ratelimit-remaining']) ?? '') ?? [];
        if (remaining === undefined) return;
        metrics.upstreamRemaining.set({ registry: label(registry) }, Number(remaining));
      },
    },
    { timeout, userAgent },
  );
  const source = new UpstreamSource({
    ...{ endpoints, client, isVerifiedByClient, tails, metrics, label, logger, thread },
    kernel: () => dataPlane?.kernel(),
    widening: { connections: 1, ...widening, budget: new WindowBudget() },
  });
  return {
    source: new SingleFlightSource({ source }),
    stop: async () => {
      await agents.close();
      thread.stop();
    },
  };
}
