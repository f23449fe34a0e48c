import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { RangeRequest } from '../oci/byte-range.ts';
import type { Digest } from '../oci/digest.ts';
import type { Provider, Router } from '../routing/router.ts';
import { contentKey, type ContentRequest } from './content-request.ts';
import type { PeerClient, PeerResponse } from './peer-client.ts';
import { PeerError, toPeerError } from './peer-error.ts';
import { ProviderSearch } from './provider-search.ts';

/** Most peers that are asked for one body, from first to last. */
const MAX_SOURCES = 32;

/** Addresses of one peer that are tried; a dual-stack node has two. */
const MAX_ORIGINS = 3;

/** What {@link PeerAttempts} work with. */
export interface PeerAttemptsComponents {
  readonly router: Pick<Router, 'lookup' | 'forget'>;
  readonly client: PeerClient;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Bounds of the search for providers; see {@link ProviderSearch}. */
export interface PeerAttemptsInit {
  readonly resolveTimeout: number;
  readonly resolveRetries: number;
}

/** The attempts made for one request: whom to ask next, and who has failed it already. */
export class PeerAttempts {
  readonly request: ContentRequest;
  readonly #components: PeerAttemptsComponents;
  readonly #init: PeerAttemptsInit;
  /** Peer IDs of those that are not to be asked again for this request. */
  readonly #failed = new Set<string>();
  /** Those that broke off once after they had delivered, and may be asked once more. */
  readonly #forgiven = new Set<string>();

  constructor(request: ContentRequest, components: PeerAttemptsComponents, init: PeerAttemptsInit) {
    this.request = request;
    this.#components = components;
    this.#init = init;
  }

  /** Whether so many peers have failed that asking more of them makes no sense. */
  get exhausted(): boolean {
    return this.#failed.size >= MAX_SOURCES;
  }

  /** Begins to look for providers that have not failed yet. */
  search(signal: AbortSignal): ProviderSearch {
    const { router, metrics } = this.#components;
    const onFirst = (seconds: number): void => {
      metrics.resolveDuration.observe({ router: 'libp2p' }, seconds);
    };
    const init = {
      timeout: this.#init.resolveTimeout,
      retries: this.#init.resolveRetries,
      excluded: this.#failed,
      onFirst,
    };
    return new ProviderSearch(router, contentKey(this.request), init, signal);
  }

  /**
   * Asks a peer at its addresses in turn; another address helps only when the first cannot be reached.
   *
   * @param digest asked for in place of the request's tag, once it is known
   * @throws PeerError
   */
  async ask(
    provider: Provider,
    range: RangeRequest | undefined,
    signal: AbortSignal,
    digest?: Digest,
  ): Promise<PeerResponse> {
    const request = digest === undefined ? this.request : { ...this.request, digest };
    let failure = new PeerError('connect', 'no address');
    for (const origin of provider.origins.slice(0, MAX_ORIGINS)) {
      try {
        return await this.#components.client.fetch(origin, request, range, signal);
      } catch (error) {
        failure = toPeerError(error, 'connect');
        if (signal.aborted || failure.reason !== 'connect') break;
      }
    }
    throw failure;
  }

  /**
   * Notes that the peer failed this request, and tells the directory when its record is wrong.
   *
   * @param delivered whether it had delivered a part: a connection that broke off is forgiven once then
   */
  fail({ peerId }: Provider, error: unknown, delivered = false): PeerError {
    const { router, metrics, logger } = this.#components;
    const failure = toPeerError(error, 'body');
    const key = contentKey(this.request);
    if (delivered && failure.reason === 'body' && !this.#forgiven.has(peerId)) {
      this.#forgiven.add(peerId);
    } else {
      this.#failed.add(peerId);
    }
    metrics.peerFailures.inc({ reason: failure.reason });
    if (failure.reason === 'not-found' || failure.reason === 'digest') router.forget(key, peerId);
    const fields = { key, peer: peerId, reason: failure.reason, err: failure };
    if (failure.reason === 'digest') logger.warn(fields, 'peer sent wrong bytes');
    else logger.debug(fields, 'peer did not deliver');
    return failure;
  }
}
