import { contentPath, type ContentRequest } from '../oci/content-request.ts';
import { JoinedCalls } from '../timing/joined-calls.ts';
import type { Content, ContentSource } from './content-source.ts';

export interface SingleFlightSourceComponents {
  /** What is fetched from. */
  readonly source: ContentSource;
}

/** Options of a {@link SingleFlightSource}. */
export interface SingleFlightSourceInit {
  /**
   * Whether requests like this one share a fetch. The source must give them content that any number of clients can
   * take: `head`, or `whole` without a reservation. Default: requests for manifests.
   */
  readonly shares?: (request: ContentRequest) => boolean;
}

/**
 * Fetches content once for all requests for it that come at the same time: the pods of a rollout want the same manifest
 * at the same moment. A failed fetch fails only the requests that came before it began, because a later one may
 * succeed. Requests that share nothing go straight to the source.
 */
export class SingleFlightSource implements ContentSource {
  readonly #source: ContentSource;
  readonly #shares: (request: ContentRequest) => boolean;
  readonly #fetches = new JoinedCalls<Content | undefined>();

  constructor({ source }: SingleFlightSourceComponents, init: SingleFlightSourceInit = {}) {
    this.#source = source;
    this.#shares = init.shares ?? (({ kind }) => kind === 'manifest');
  }

  /** As {@link ContentSource.fetch}. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    if (!this.#shares(request)) return await this.#source.fetch(request, signal);
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
