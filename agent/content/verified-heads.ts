import { LRUCache } from 'lru-cache';

import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import type { Content, ContentSource, WholeContent } from './content-source.ts';

/** Bytes of the manifests that wait for the GET behind their HEAD: four of the largest, thousands of the usual. */
const MAX_BYTES = 16 * 1024 * 1024;

/** How long a manifest waits for that GET, in milliseconds. containerd sends it at once. */
const WAIT_MS = 5_000;

/** What a {@link VerifiedHeads} fetches from. */
export interface VerifiedHeadsComponents {
  /** Gives manifests whole, verified, and without a reservation. */
  readonly source: ContentSource;
}

/**
 * Answers the HEAD of a manifest from the manifest itself, which is fetched and verified for it. containerd fails a
 * pull when the length of a manifest's HEAD is wrong, so the claim of a peer is not enough. The GET that follows within
 * seconds gets the same bytes.
 */
export class VerifiedHeads implements ContentSource {
  readonly #source: ContentSource;
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #waiting = new LRUCache<Digest, WholeContent>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 1,
    ttl: WAIT_MS,
    ttlAutopurge: true,
  });

  constructor({ source }: VerifiedHeadsComponents) {
    this.#source = source;
  }

  /** As {@link ContentSource.fetch}. Blobs are left to the source. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    if (request.kind !== 'manifest') return await this.#source.fetch(request, signal);
    if (request.method === 'GET') {
      return this.#takeWaiting(request) ?? (await this.#source.fetch(request, signal));
    }
    // Each HEAD asks anew: the manifest may be gone from the peer that had it a moment ago.
    const content = await this.#source.fetch({ ...request, method: 'GET' }, signal);
    if (content?.kind !== 'whole') {
      if (request.digest !== undefined) this.#waiting.delete(request.digest);
      return content;
    }
    const { descriptor, origin } = content;
    this.#waiting.set(descriptor.digest, content);
    return { kind: 'head', descriptor, origin };
  }

  /** The manifest that waits for this GET; for this one alone. */
  #takeWaiting({ digest }: ContentRequest): WholeContent | undefined {
    const waiting = digest && this.#waiting.get(digest);
    if (waiting !== undefined) this.#waiting.delete(waiting.descriptor.digest);
    return waiting;
  }

  /** As {@link ContentSource.reasonFor}; unknown for a HEAD, for which this fetches by GET. */
  reasonFor(request: ContentRequest): string | undefined {
    return this.#source.reasonFor?.(request);
  }

  /** Forgets the manifests that wait. */
  stop(): void {
    this.#waiting.clear();
  }
}
