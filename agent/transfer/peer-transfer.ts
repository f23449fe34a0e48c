import type { Content, ContentSource } from '../content/content-source.ts';
import { contentKey, type ContentRequest } from '../oci/content-request.ts';
import { Backoff } from '../timing/backoff.ts';
import { ExtendableTimeout } from '../timing/extendable-timeout.ts';
import { PeerError } from './client/peer-error.ts';
import type { ContentDelivery } from './content-delivery.ts';
import { firstGoodAnswer, NotDeliveredError } from './first-good-answer.ts';
import {
  PeerAttempts,
  type PeerAttemptsComponents,
  type PeerAttemptsInit,
} from './select/peer-attempts.ts';
import type { PeerScoreboard } from './select/peer-scoreboard.ts';
import type { Attribution } from './verify/attribution.ts';
import type { HashingThread } from './verify/hashing-thread.ts';

/** Searches for a later chunk of a blob, which must not be refused: some twelve seconds with the time for each. */
const MAX_CHUNK_SEARCHES = 4;

/** After this time no further one of these searches begins, in milliseconds. */
const MAX_CHUNK_SEARCH_MS = 12_000;

/** The waits between these searches, in milliseconds. */
const CHUNK_BACKOFF = { first: 200, max: 1_600 };

/** Parts of a {@link PeerTransfer}; `createPeerTransfers` makes them. */
export interface PeerTransferComponents {
  /** What the attempts of all requests share. */
  readonly attempts: PeerAttemptsComponents;
  /** Makes content of the first good answer. */
  readonly delivery: ContentDelivery;
  /** Puts peers that sent wrong bytes on the blocklist, before their content is requested again. */
  readonly attribution: Attribution;
  /** Hashes bodies beside their way. */
  readonly hashingThread: HashingThread;
}

/** The peers as a source of content. It asks several until one delivers. */
export class PeerTransfer implements ContentSource {
  readonly #components: PeerTransferComponents;
  readonly #init: PeerAttemptsInit;
  readonly #reasons = new WeakMap<ContentRequest, NotDeliveredError['reason']>();

  constructor(components: PeerTransferComponents, init: PeerAttemptsInit) {
    this.#components = components;
    this.#init = init;
  }

  /** The peers that sent wrong bytes and are not asked. */
  get blocklist(): PeerScoreboard['blocklist'] {
    return this.#components.attempts.shared.scoreboard.blocklist;
  }

  /** See `Attribution.watchFetched`. */
  watchFetched(...blob: Parameters<Attribution['watchFetched']>): void {
    this.#components.attribution.watchFetched(...blob);
  }

  /** Ends all work that goes on after its request, such as commit watches, and the thread that hashes bodies. */
  stop(): void {
    this.#components.attribution.stop();
    this.#components.hashingThread.stop();
  }

  /**
   * Asks peers until one answers well. For a later chunk of a blob, which containerd requests of no other host, it
   * searches several times.
   *
   * @param signal ends everything, the body included
   * @returns `undefined` when no peer has the content or none answers in time
   * @throws OciError `RANGE_INVALID` when a holder has stated that the range is not satisfiable and no peer delivers
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { metrics, logger } = this.#components.attempts;
    const attempts = new PeerAttempts(request, this.#components.attempts, this.#init);
    const key = contentKey(request);
    await this.#components.attribution.waitFor(key, signal);
    if (this.#components.attribution.isLeftToUpstream(key)) {
      const reason = 'providers-failed';
      if (!attempts.follows) metrics.fallThroughs.inc({ reason });
      this.#reasons.set(request, reason);
      return undefined;
    }
    const start = performance.now();
    const backoff = new Backoff(CHUNK_BACKOFF);
    const maxSearches = attempts.chunks.isLater ? MAX_CHUNK_SEARCHES : 1;
    for (let search = 1; ; search += 1) {
      try {
        const content = await this.#search(attempts, signal);
        if (!attempts.follows) metrics.firstByte.observe((performance.now() - start) / 1000);
        return content;
      } catch (error) {
        if (!(error instanceof NotDeliveredError)) throw error;
        if (search === maxSearches || performance.now() - start > MAX_CHUNK_SEARCH_MS) {
          const { reason } = error;
          // Whom to follow is asked only after this source, and that there was nothing to follow is no reason of its own.
          if (!attempts.follows) metrics.fallThroughs.inc({ reason });
          this.#reasons.set(request, reason);
          logger.debug({ key: contentKey(request), reason }, 'no peer delivers');
          return undefined;
        }
      }
      await backoff.wait(signal);
      signal.throwIfAborted();
      attempts.forgive();
    }
  }

  reasonFor(request: ContentRequest): string | undefined {
    return this.#reasons.get(request);
  }

  async #search(attempts: PeerAttempts, signal: AbortSignal): Promise<Content> {
    const { firstByteBudget, resolveTimeout, follows = false } = this.#init;
    using timeout = new ExtendableTimeout(
      // What an arbiter takes to name a peer is no part of the time of that peer.
      follows ? resolveTimeout + firstByteBudget : firstByteBudget,
      () => new PeerError('timeout', 'no peer answered in time'),
    );
    return await firstGoodAnswer(
      attempts,
      (stream, arrival) => this.#components.delivery.deliver(attempts, stream, arrival, signal),
      timeout,
      signal,
    );
  }
}
