import { raceSignal } from '../timing/race-signal.ts';
import { contentPath, type ContentRequest } from '../oci/content-request.ts';
import type { Content, ContentSource } from './content-source.ts';

/** What {@link SingleFlightManifests} works with. */
export interface SingleFlightManifestsComponents {
  readonly transfer: ContentSource;
}

/** A fetch under way, and how many wait for it. */
interface Fetch {
  readonly content: Promise<Content | undefined>;
  readonly abort: AbortController;
  waiting: number;
}

/**
 * Fetches a manifest once for all who ask for it at the same time: the pods of a rollout want the same one at the same
 * moment. It arrives whole and verified, so that it can be handed to any number. A failure is shared only with those
 * who had asked before that fetch began: others may be luckier. Everything else goes straight to the transfer.
 */
export class SingleFlightManifests implements ContentSource {
  readonly #transfer: ContentSource;
  readonly #fetches = new Map<string, Fetch>();

  constructor({ transfer }: SingleFlightManifestsComponents) {
    this.#transfer = transfer;
  }

  /** As {@link ContentSource.fetch}. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    if (request.kind !== 'manifest') return await this.#transfer.fetch(request, signal);
    // Without the range: a manifest comes whole, and each takes a part of it.
    const key = `${request.method} ${contentPath(request)}`;
    const running = this.#fetches.get(key);
    if (running !== undefined) {
      const content = await this.#join(running, key, signal).catch(() => undefined);
      signal.throwIfAborted();
      if (content !== undefined) return content;
    }
    return await this.#join(this.#fetches.get(key) ?? this.#begin(request, key), key, signal);
  }

  #begin(request: ContentRequest, key: string): Fetch {
    const abort = new AbortController();
    const content = this.#transfer.fetch(request, abort.signal);
    const fetch = { content, abort, waiting: 0 };
    this.#fetches.set(key, fetch);
    const end = (): void => {
      this.#end(fetch, key);
    };
    content.then(end, end);
    return fetch;
  }

  async #join(fetch: Fetch, key: string, signal: AbortSignal): Promise<Content | undefined> {
    fetch.waiting += 1;
    try {
      return await raceSignal(fetch.content, signal);
    } finally {
      fetch.waiting -= 1;
      if (fetch.waiting === 0) {
        this.#end(fetch, key);
        fetch.abort.abort();
      }
    }
  }

  /** Nobody joins it any more. */
  #end(fetch: Fetch, key: string): void {
    if (this.#fetches.get(key) === fetch) this.#fetches.delete(key);
  }
}
