import type { Provider, Router } from '../../routing/router.ts';
import type { Downloads } from './downloads.ts';

/** What a {@link ParentFinder} uses of {@link Downloads}. */
type ParentFinderDownloads = Pick<
  Downloads,
  'find' | 'inHand' | 'failed' | 'trickled' | 'begins' | 'goesUpstream'
>;

/**
 * The peers that the arbiter names, for the part of `Router` that a transfer from peers uses. A look-up is one question; the
 * transfer asks again with another look-up, and the question names the peers that have failed meanwhile.
 */
export class ParentFinder implements Pick<Router, 'lookup' | 'forget'> {
  readonly #downloads: ParentFinderDownloads;

  constructor(downloads: ParentFinderDownloads) {
    this.#downloads = downloads;
  }

  /** Finds nothing for a key without a request in hand, see {@link Downloads.begin}. */
  async *lookup(key: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    const request = this.#downloads.inHand(key);
    if (request === undefined || signal?.aborted === true) return;
    const { providers } = await this.#downloads.find(
      request,
      signal ?? new AbortController().signal,
    );
    yield* providers;
  }

  /** Whether this node is to go upstream: its client does so once the body has ended. */
  isOver(key: string): boolean {
    return this.#downloads.goesUpstream(key);
  }

  /** The peer does not have the content. */
  forget(key: string, peerId: string): void {
    this.#downloads.failed(key, peerId);
  }

  /** The body of a peer came so slowly that it was ended. */
  trickled(key: string): void {
    this.#downloads.trickled(key);
  }

  /** The first bytes of a body have come. */
  begins(key: string): void {
    this.#downloads.begins(key);
  }

  /** The peer has not served the content, for whatever reason. */
  failed(key: string, peerId: string): void {
    this.#downloads.failed(key, peerId);
  }
}
