import { LRUCache } from 'lru-cache';

import type { Digest } from '../../oci/digest.ts';
import { ManifestError, parseManifest } from '../../oci/manifest.ts';

/** Digests whose sizes are remembered; an image has about ten. The one that was named longest ago is forgotten. */
const MAX_SIZES = 10_000;

/**
 * The sizes of blobs, from the manifests that clients fetched a moment before they ask for the blobs. A peer that
 * declares another size would make the client fail at the end of the blob, when no resume helps.
 */
export class KnownSizes {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #sizes = new LRUCache<Digest, number>({ maxSize: MAX_SIZES, sizeCalculation: () => 1 });

  /** Reads the sizes of what the manifest refers to; ignores bytes that are no manifest. */
  note(manifest: Uint8Array): void {
    try {
      for (const { digest, size } of parseManifest(manifest).children) {
        this.#sizes.set(digest, size);
      }
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
    }
  }

  /** In bytes; `undefined` when no manifest has named the digest lately. */
  of(digest: Digest | undefined): number | undefined {
    return digest === undefined ? undefined : this.#sizes.peek(digest);
  }
}
