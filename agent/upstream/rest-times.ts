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

/**
 * Until when registries are left alone, because they asked for it (`Retry-After`), or because they cannot be reached. What is
 * asked of them meanwhile fails with the same words, at once. A limit on manifests is none on blobs.
 */
export class RestTimes {
  readonly #rests = new LRUCache<string, Rest>({ max: MAX_ENTRIES });
  readonly #now: () => number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Learns from a failure. */
  failed({ base }: UpstreamEndpoint, kind: ContentRequest['kind'], failure: UpstreamError): void {
    const rest = lengthOf(failure);
    if (rest <= 0) return;
    const isForAll = failure.reason !== 'limited';
    this.#rests.set(isForAll ? base.href : `${base.href} ${kind}`, {
      until: this.#now() + rest,
      failure,
    });
  }

  /** @throws UpstreamError that the endpoint failed with, while it is left alone */
  check({ base }: UpstreamEndpoint, kind: ContentRequest['kind']): void {
    for (const key of [base.href, `${base.href} ${kind}`]) {
      const rest = this.#rests.get(key);
      if (rest === undefined) continue;
      const { reason, message, status } = rest.failure;
      // Not the same error: it has the stack of another request, and would begin the rest anew.
      if (rest.until > this.#now())
        throw new UpstreamError(reason, message, { ...(status && { status }), retryAfter: 0 });
      this.#rests.delete(key);
    }
  }
}

function lengthOf({ reason, retryAfter }: UpstreamError): number {
  if (reason === 'limited') return retryAfter ?? LIMITED_MS;
  if (reason === 'connect') return retryAfter ?? UNREACHABLE_MS;
  return retryAfter ?? 0;
}
