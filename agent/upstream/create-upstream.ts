import type { Logger } from 'pino';

import type { Content, ContentSource } from '../content/content-source.ts';
import type { RegistryTags, SharedChecks } from '../content/registry-tags.ts';
import { SingleFlightSource } from '../content/single-flight-source.ts';
import { BoundedLabels } from '../metrics/bounded-labels.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { DataPlane } from '../native/data-plane.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { OciError } from '../oci/errors.ts';
import { proxySettingsOf, proxyUrlFor } from '../proxies/proxy-settings.ts';
import { HashingThread } from '../transfer/verify/hashing-thread.ts';
import { Authorizer, type AuthorizerComponents } from './auth/authorizer.ts';
import { TokenClient } from './auth/token-client.ts';
import { single } from './client/answer-text.ts';
import type { WideningInit } from './client/blob-windows.ts';
import { WindowBudget } from './client/range-window.ts';
import { RegistryClient } from './client/registry-client.ts';
import { UpstreamAgents } from './client/upstream-agents.ts';
import { finishedContent } from './finished-content.ts';
import { RestTimes } from './rest-times.ts';
import { isAway, TagResolver } from './tag-resolver.ts';
import { UpstreamSource, type UpstreamSourceComponents } from './upstream-source.ts';
import { loginOf } from './where/login-of.ts';
import type { UpstreamCredentials } from './where/upstream-credentials.ts';
import type { UpstreamEndpoint, UpstreamEndpoints } from './where/upstream-endpoints.ts';

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
  /** Asks what tags mean for all nodes at once. Default: each node asks for itself. */
  readonly sharing?: SharedChecks | undefined;
}

/** Options of {@link createUpstream}. */
export interface CreateUpstreamInit {
  /** See `RegistryClientInit`. Also the longest silence of a body, in milliseconds. */
  readonly timeout: number;
  readonly userAgent: string;
  /** See `AuthorizerComponents`. */
  readonly tokenServers?: AuthorizerComponents['tokenServers'];
  /** See `TagResolverInit.ttl`. */
  readonly tagTtl?: number;
  /** See `TagResolverInit.staleFor`. */
  readonly staleTags?: number;
  /** Milliseconds of a monotonic clock, for tags. Default: the one of the process. */
  readonly now?: () => number;
  /** See {@link WideningInit}. Default: one connection for each blob, and a budget of its own. */
  readonly widening?: Partial<WideningInit>;
  /** With `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. Default: no proxies. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Registries as a source of content. */
export interface Upstream {
  readonly source: ContentSource & {
    /** See {@link finishedContent}. */
    finish(content: Content, request: ContentRequest, signal: AbortSignal): Promise<Content>;
  };
  /** What the registries say of tags. */
  readonly tags: RegistryTags;
  /** See `UpstreamSource.mayFetch`. */
  readonly mayFetch: (request: ContentRequest) => boolean;
  /** Ends every connection. */
  stop(): Promise<void>;
}

/** Makes an {@link UpstreamSource}, with a single flight for manifests, and all parts of it. */
export function createUpstream(
  components: CreateUpstreamComponents,
  {
    timeout,
    userAgent,
    tokenServers,
    widening,
    environment = {},
    tagTtl = 0,
    staleTags = 0,
    now,
  }: CreateUpstreamInit,
): Upstream {
  const { endpoints, credentials, metrics, logger, isVerifiedByClient, tails, dataPlane, sharing } =
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
  const authorizer = new Authorizer({ tokens, credentials, tokenServers });
  credentials.onChange(() => {
    authorizer.forget();
  });
  const rests = new RestTimes();
  const loginFor = (endpoint: UpstreamEndpoint, repository: string): string =>
    loginOf(credentials.of(endpoint, repository));
  const client = new RegistryClient(
    {
      agents,
      authorizer,
      onAnswer: (endpoint, repository, headers) => {
        // Docker Hub: `76;w=21600`
        const [, remaining] =
          /^(\d{1,9})(?:;|$)/.exec(single(headers['ratelimit-remaining']) ?? '') ?? [];
        if (remaining === undefined) return;
        rests.remaining(endpoint, loginFor(endpoint, repository), Number(remaining));
        metrics.upstreamRemaining.set({ registry: label(endpoint.registry) }, Number(remaining));
      },
    },
    { timeout, userAgent },
  );
  const source = new UpstreamSource({
    ...{ endpoints, client, isVerifiedByClient, tails, metrics, label, logger, rests, thread },
    loginOf: loginFor,
    kernel: () => dataPlane?.kernel(),
    widening: { connections: 1, budget: new WindowBudget(), ...widening },
  });
  const joined = new SingleFlightSource({ source });
  const covers = endpoints.covers.bind(endpoints);
  const finishing = { source: joined, covers, isVerifiedByClient, logger };
  const fetch: ContentSource['fetch'] = async (request, signal) => {
    try {
      return await joined.fetch(request, signal);
    } catch (error) {
      const { kind, digest } = request;
      const isMissing = kind === 'manifest' && error instanceof OciError && !isAway(error);
      if (isMissing && digest !== undefined) sharing?.doubt(digest);
      throw error;
    }
  };
  return {
    source: {
      fetch,
      finish: (content, request, signal) => finishedContent(content, request, finishing, signal),
    },
    tags: new TagResolver(
      { source, endpoints, sharing, mayAsk: source.mayFetch.bind(source) },
      { ttl: tagTtl, staleFor: staleTags, ...(now && { now }) },
    ),
    mayFetch: source.mayFetch.bind(source),
    stop: async () => {
      source.stop();
      await agents.close();
      thread.stop();
    },
  };
}
