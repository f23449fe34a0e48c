import type { Digest } from '../../oci/digest.ts';
import { ManifestError, parseManifest } from '../../oci/manifest.ts';

/** Digests whose sizes are remembered, the last ones named; an image has some ten. */
const MAX_SIZES = 10_000;

/**
 * How long blobs are, by the manifests that passed through to clients a moment before they ask for the blobs. A
 * peer that states another length would have the client fail at the end of the blob, when no resume helps.
 */
export class KnownSizes {
  readonly #sizes = new Map<Digest, number>();

  /** Notes what the manifest says; one that cannot be read says nothing. */
  note(manifest: Uint8Array): void {
    try {
      for (const { digest, size } of parseManifest(manifest).children) {
        this.#sizes.delete(digest);
        this.#sizes.set(digest, size);
      }
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
    }
    for (const digest of this.#sizes.keys()) {
      if (this.#sizes.size <= MAX_SIZES) break;
      this.#sizes.delete(digest);
    }
  }

  /** In bytes; `undefined` when no manifest has named the digest of late. */
  of(digest: Digest | undefined): number | undefined {
    return digest === undefined ? undefined : this.#sizes.get(digest);
  }
}
