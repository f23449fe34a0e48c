import type { Digest } from '../../oci/digest.ts';

/** A listing under way, see {@link KnownBlobs.beginListing}. */
export interface Listing {
  /** Everything was listed: what was not among it is forgotten. Not to be called for a part of it. */
  complete(): void;
}

interface Entry {
  readonly size: number;
  readonly committedAt: number | undefined;
  /** Number of the latest listing that had begun when the entry was confirmed. */
  readonly listing: number;
}

/**
 * Blobs that are known to belong to our namespace, with their lengths. containerd keeps the blobs of all
 * namespaces in one folder, so a file alone does not prove that a blob is ours, and asking for each would cost
 * a call. Bounded: the entry that was confirmed longest ago makes way.
 */
export class KnownBlobs {
  readonly #limit: number;
  readonly #entries = new Map<Digest, Entry>();
  #listing = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Length in bytes, or `undefined` when it is not known whether the blob is ours. */
  size(digest: Digest): number | undefined {
    return this.#entries.get(digest)?.size;
  }

  /** When it was committed to the namespace, in milliseconds since 1970, or `undefined` when that is not known. */
  committedAt(digest: Digest): number | undefined {
    return this.#entries.get(digest)?.committedAt;
  }

  /** containerd said just now that the blob is ours. */
  add(digest: Digest, size: number, committedAt?: Date): void {
    this.#entries.delete(digest);
    const entry = { size, committedAt: committedAt?.getTime(), listing: this.#listing };
    this.#entries.set(digest, entry);
    if (this.#entries.size <= this.#limit) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  /** @returns whether it was known */
  delete(digest: Digest): boolean {
    return this.#entries.delete(digest);
  }

  /** To be called before listing; `add` whatever is listed. */
  beginListing(): Listing {
    this.#listing += 1;
    const began = this.#listing;
    return {
      complete: () => {
        // What was confirmed since the listing began stays: it may have come too late to be listed.
        for (const [digest, { listing }] of this.#entries) {
          if (listing < began) this.#entries.delete(digest);
        }
      },
    };
  }
}
