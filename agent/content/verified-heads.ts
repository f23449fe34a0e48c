import type { ContentRequest } from '../oci/content-request.ts';
import type { Content, ContentSource } from './content-source.ts';
import { WaitingManifests } from './waiting-manifests.ts';

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
  readonly #waiting = new WaitingManifests();

  constructor({ source }: VerifiedHeadsComponents) {
    this.#source = source;
  }

  /** As {@link ContentSource.fetch}. Blobs are left to the source. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    if (request.kind !== 'manifest') return await this.#source.fetch(request, signal);
    if (request.method === 'GET') {
      return this.#waiting.take(request.digest) ?? (await this.#source.fetch(request, signal));
    }
    // Each HEAD asks anew: the manifest may be gone from the peer that had it a moment ago.
    const content = await this.#source.fetch({ ...request, method: 'GET' }, signal);
    if (content?.kind !== 'whole') {
      if (request.digest !== undefined) this.#waiting.delete(request.digest);
      return content;
    }
    const { descriptor, origin } = content;
    this.#waiting.add(content);
    return { kind: 'head', descriptor, origin };
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
