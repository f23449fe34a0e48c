import type { Digest } from '../../oci/digest.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';

/** A listing under way, see {@link KnownBlobs.beginListing}. */
export interface Listing {
  /** Forgets the blobs that were not listed. To be called only when all were listed. */
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
 * namespaces in one folder, so a file alone does not prove that a blob is ours, and a call for each would be slow.
 * Beyond the limit the entry that was confirmed longest ago is dropped.
 */
export class KnownBlobs {
  readonly #entries: BoundedMap<Digest, Entry>;
  #listing = 0;

  /** @param max entries */
  constructor(max: number) {
    this.#entries = new BoundedMap(max);
  }

  /** Length in bytes; `undefined` when the blob is not known to be ours. */
  size(digest: Digest): number | undefined {
    return this.#entries.get(digest)?.size;
  }

  /** When it was committed to the namespace, in milliseconds since 1970; `undefined` when that is not known. */
  committedAt(digest: Digest): number | undefined {
    return this.#entries.get(digest)?.committedAt;
  }

  /** Adds a blob that containerd has just confirmed to be ours. */
  add(digest: Digest, size: number, committedAt?: Date): void {
    const entry = { size, committedAt: committedAt?.getTime(), listing: this.#listing };
    this.#entries.set(digest, entry);
  }

  /** @returns whether it was known */
  delete(digest: Digest): boolean {
    return this.#entries.delete(digest);
  }

  /** To be called before all blobs are listed. Each listed blob is then given to `add`. */
  beginListing(): Listing {
    this.#listing += 1;
    const began = this.#listing;
    return {
      complete: () => {
        // An entry confirmed since the listing began stays: its blob may be too new to be listed.
        for (const [digest, { listing }] of this.#entries.entries()) {
          if (listing < began) this.#entries.delete(digest);
        }
      },
    };
  }
}
