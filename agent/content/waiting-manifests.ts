import { LRUCache } from 'lru-cache';

import type { Digest } from '../oci/digest.ts';
import type { WholeContent } from './content-source.ts';

/** Bytes of the manifests that wait for the GET behind their HEAD: four of the largest, thousands of the usual. */
const MAX_BYTES = 16 * 1024 * 1024;

/** How long a manifest waits for that GET, in milliseconds. containerd sends it at once. */
const WAIT_MS = 5_000;

/** Manifests that were fetched for a HEAD, and wait for the GET behind it. */
export class WaitingManifests {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #waiting = new LRUCache<string, WholeContent>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 1,
    ttl: WAIT_MS,
    ttlAutopurge: true,
  });

  /**
   * Keeps a manifest for the next {@link take}, five seconds at most.
   *
   * @param of for whom it is. Default: for all
   */
  add(content: WholeContent, of = ''): void {
    this.#waiting.set(keyOf(content.descriptor.digest, of), content);
  }

  /** The manifest that waits for this GET; for this one alone. */
  take(digest: Digest | undefined, of = ''): WholeContent | undefined {
    if (digest === undefined) return undefined;
    const key = keyOf(digest, of);
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    return waiting;
  }

  delete(digest: Digest): void {
    this.#waiting.delete(keyOf(digest));
  }

  clear(): void {
    this.#waiting.clear();
  }
}

function keyOf(digest: Digest, of = ''): string {
  return `${digest} ${of}`;
}
