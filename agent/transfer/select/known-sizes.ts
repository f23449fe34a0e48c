import { LRUCache } from 'lru-cache';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';

/** Sizes that are remembered; an image has about ten. The one that was named longest ago is forgotten. */
const MAX_SIZES = 10_000;

/** What a size is a hint for: content of this repository alone. */
export type SizeScope = Pick<ContentRequest, 'registry' | 'repository'>;

/**
 * The sizes of blobs, from the manifests that clients fetched a moment before they ask for the blobs. A peer that
 * declares another size would make the client fail at the end of the blob, when no resume helps.
 *
 * They are hints. A manifest with the right digest can name any content with a wrong size, so its sizes count in the
 * repository that it came with, and a size that two manifests contradict each other about does not count.
 */
export class KnownSizes {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #sizes = new LRUCache<string, number>({ maxSize: MAX_SIZES, sizeCalculation: () => 1 });

  /** Learns the sizes of what a manifest of the repository refers to. */
  note(scope: SizeScope, children: readonly Pick<Descriptor, 'digest' | 'size'>[]): void {
    for (const { digest, size } of children) {
      const key = keyOf(scope, digest);
      const before = this.#sizes.peek(key);
      if (before === undefined || before === size) this.#sizes.set(key, size);
      else this.#sizes.delete(key);
    }
  }

  /** In bytes; `undefined` when no manifest of the repository has named the digest lately. */
  of(scope: SizeScope, digest: Digest): number | undefined {
    return this.#sizes.peek(keyOf(scope, digest));
  }

  /** Forgets a size that turned out to be wrong. */
  forget(scope: SizeScope, digest: Digest): void {
    this.#sizes.delete(keyOf(scope, digest));
  }
}

function keyOf({ registry, repository }: SizeScope, digest: Digest): string {
  return `${registry}/${repository}@${digest}`;
}
