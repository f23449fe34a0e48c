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
export interface Asked extends Pick<ContentRequest, 'kind' | 'method'> {
  /** Who asks; see `loginOf`. Default: no login. */
  readonly login?: string;
}

/**
 * Until when registries are left alone, because they asked for it (`Retry-After`), or because they cannot be reached. What is
 * asked of them meanwhile fails with the same words, at once. A limit on manifests is none on blobs, one on GETs none on
 * HEADs (Docker Hub counts no HEAD), and one on a login none on another, or on requests without one.
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
  failed({ base }: UpstreamEndpoint, asked: Asked, failure: UpstreamError): void {
    const rest = lengthOf(failure);
    if (rest <= 0) return;
    const { method } = asked;
    const key = failure.reason === 'limited' ? keyOf(base, asked, method) : base.href;
    this.#rests.set(key, { until: this.#now() + rest, failure });
  }

  /** Learns how many manifests the registry still gives to a login of this node: `ratelimit-remaining`. */
  remaining({ base }: UpstreamEndpoint, login: string, pulls: number): void {
    const key = spentKeyOf(base, login);
    if (pulls > 0) this.#spent.delete(key);
    else this.#spent.set(key, this.#now() + SPENT_MS);
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
    return (
      isCounted && (this.#spent.get(spentKeyOf(endpoint.base, asked.login)) ?? 0) > this.#now()
    );
  }

  #restOf({ base }: UpstreamEndpoint, asked: Asked): Rest | undefined {
    const methods = asked.method === 'GET' ? (['HEAD', 'GET'] as const) : (['HEAD'] as const);
    for (const key of [base.href, ...methods.map((it) => keyOf(base, asked, it))]) {
      const rest = this.#rests.get(key);
      if (rest === undefined) continue;
      if (rest.until > this.#now()) return rest;
      this.#rests.delete(key);
    }
    return undefined;
  }
}

/** Of a limit: what is on HEADs is on GETs too. */
function keyOf({ href }: URL, { kind, login = '' }: Asked, method: Asked['method']): string {
  return `${href} ${kind} ${method} ${login}`;
}

function spentKeyOf({ href }: URL, login = ''): string {
  return `${href} ${login}`;
}

function lengthOf({ reason, retryAfter }: UpstreamError): number {
  if (reason === 'limited') return retryAfter ?? LIMITED_MS;
  if (reason === 'connect') return retryAfter ?? UNREACHABLE_MS;
  return retryAfter ?? 0;
}
