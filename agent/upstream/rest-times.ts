import { LRUCache } from 'lru-cache';

import type { ContentRequest } from '../oci/content-request.ts';
import { UpstreamError } from './upstream-error.ts';
import type { UpstreamEndpoint } from './where/upstream-endpoints.ts';

/** Endpoints that are left alone at once. */
const MAX_ENTRIES = 256;
/** How long a registry is left alone that limits this node and does not say until when, in milliseconds. */
const LIMITED_MS = 5_000;
/** How long one is that cannot be reached: requests would each wait for the same time-out. In milliseconds. */
const UNREACHABLE_MS = 2_000;

interface Rest {
  readonly until: number;
  readonly failure: UpstreamError;
}

/** How long a registry that allows no further pull is left to other nodes, in milliseconds, unless it has said so again. */
const SPENT_MS = 60_000;

/** What of a request decides whether a limit is on it. */
type Asked = Pick<ContentRequest, 'kind' | 'method'>;

/**
 * Until when registries are left alone, because they asked for it (`Retry-After`), or because they cannot be reached. What is
 * asked of them meanwhile fails with the same words, at once. A limit on manifests is none on blobs, and one on GETs none on
 * HEADs: Docker Hub counts no HEAD.
 */
export class RestTimes {
  readonly #rests = new LRUCache<string, Rest>({ max: MAX_ENTRIES });
  /** Until when registries are left to others that allow this node no further manifest. */
  readonly #spent = new LRUCache<string, number>({ max: MAX_ENTRIES });
  readonly #now: () => number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Learns from a failure. */
  failed({ base }: UpstreamEndpoint, { kind, method }: Asked, failure: UpstreamError): void {
    const rest = lengthOf(failure);
    if (rest <= 0) return;
    const ofKind = method === 'HEAD' ? `${base.href} ${kind}` : `${base.href} ${kind} GET`;
    const key = failure.reason === 'limited' ? ofKind : base.href;
    this.#rests.set(key, { until: this.#now() + rest, failure });
  }

  /** Learns how many manifests the registry still gives to this node: `ratelimit-remaining`. */
  remaining({ base }: UpstreamEndpoint, pulls: number): void {
    if (pulls > 0) this.#spent.delete(base.href);
    else this.#spent.set(base.href, this.#now() + SPENT_MS);
  }

  /** @throws UpstreamError that the endpoint failed with, while it is left alone */
  check(endpoint: UpstreamEndpoint, asked: Asked): void {
    const failure = this.#restOf(endpoint, asked)?.failure;
    if (failure === undefined) return;
    const { reason, message, status } = failure;
    // Not the same error: it has the stack of another request, and would begin the rest anew.
    throw new UpstreamError(reason, message, { ...(status && { status }), retryAfter: 0 });
  }

  /** Whether another node had better fetch it: the endpoint is left alone, or allows no further pull. */
  isSpent(endpoint: UpstreamEndpoint, asked: Asked): boolean {
    if (this.#restOf(endpoint, asked) !== undefined) return true;
    const isCounted = asked.kind === 'manifest' && asked.method === 'GET';
    return isCounted && (this.#spent.get(endpoint.base.href) ?? 0) > this.#now();
  }

  #restOf({ base }: UpstreamEndpoint, { kind, method }: Asked): Rest | undefined {
    const ofKind = `${base.href} ${kind}`;
    for (const key of [base.href, ofKind, ...(method === 'GET' ? [`${ofKind} GET`] : [])]) {
      const rest = this.#rests.get(key);
      if (rest === undefined) continue;
      if (rest.until > this.#now()) return rest;
      this.#rests.delete(key);
    }
    return undefined;
  }
}

function lengthOf({ reason, retryAfter }: UpstreamError): number {
  if (reason === 'limited') return retryAfter ?? LIMITED_MS;
  if (reason === 'connect') return retryAfter ?? UNREACHABLE_MS;
  return retryAfter ?? 0;
}
