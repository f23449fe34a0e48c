import { contentPath, type ContentRequest } from '../oci/content-request.ts';
import { JoinedCalls } from '../timing/joined-calls.ts';
import type { Content, ContentSource } from './content-source.ts';

export interface SingleFlightSourceComponents {
  /** Gives manifests in a way that any number of clients can take: `head`, or `whole` without a reservation. */
  readonly source: ContentSource;
}

/**
 * Fetches a manifest once for all requests for it that come at the same time: the pods of a rollout want the same manifest
 * at the same moment. A failed fetch fails only the requests that came before it began, because a later one may
 * succeed. Requests for blobs go straight to the source.
 */
export class SingleFlightSource implements ContentSource {
  readonly #source: ContentSource;
  readonly #fetches = new JoinedCalls<Content | undefined>();

  constructor({ source }: SingleFlightSourceComponents) {
    this.#source = source;
  }

  /** As {@link ContentSource.fetch}. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    if (request.kind !== 'manifest') return await this.#source.fetch(request, signal);
    // Without the range: the content comes whole, and each request takes its part.
    const key = `${request.method} ${contentPath(request)}`;
    const begin = (abort: AbortSignal): Promise<Content | undefined> => this.#begin(request, abort);
    if (this.#fetches.has(key)) {
      const content = await this.#fetches.join(key, begin, signal).catch(() => undefined);
      signal.throwIfAborted();
      if (content !== undefined) return content;
    }
    return await this.#fetches.join(key, begin, signal);
  }

  reasonFor(request: ContentRequest): string | undefined {
    return this.#source.reasonFor?.(request);
  }

  async #begin(request: ContentRequest, abort: AbortSignal): Promise<Content | undefined> {
    const content = await this.#source.fetch(request, abort);
    // Two readers of one body would each get a part of its chunks.
    if (content?.kind === 'stream') throw new TypeError('a stream cannot be shared');
    return content;
  }
}
