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
  readonly #waiting = new LRUCache<Digest, WholeContent>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 1,
    ttl: WAIT_MS,
    ttlAutopurge: true,
  });

  /** Keeps a manifest for the next {@link take}, five seconds at most. */
  add(content: WholeContent): void {
    this.#waiting.set(content.descriptor.digest, content);
  }

  /** The manifest that waits for this GET; for this one alone. */
  take(digest: Digest | undefined): WholeContent | undefined {
    const waiting = digest && this.#waiting.get(digest);
    if (waiting !== undefined) this.#waiting.delete(waiting.descriptor.digest);
    return waiting;
  }

  delete(digest: Digest): void {
    this.#waiting.delete(digest);
  }

  clear(): void {
    this.#waiting.clear();
  }
}
