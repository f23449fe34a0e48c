import type { Digest } from '../oci/digest.ts';
import type { TrackedImages } from './tracked-images.ts';

/** Advertised keys of one registry. */
export interface RegistryCounts {
  tags: number;
  /** Digests that an image record points to. */
  images: number;
  /** All digests. */
  content: number;
}

/**
 * Counts advertised keys by registry. Content that belongs to no image yet is under the empty name.
 *
 * @param held the digests that the store holds
 */
export function countByRegistry(
  images: TrackedImages,
  held: Iterable<Digest>,
  isAdvertised: (key: string) => boolean,
): Map<string, RegistryCounts> {
  const counts = new Map<string, RegistryCounts>();
  const of = (registry: string): RegistryCounts => {
    let count = counts.get(registry);
    if (count === undefined) counts.set(registry, (count = { tags: 0, images: 0, content: 0 }));
    return count;
  };
  const roots = new Set<Digest>();
  const tags = new Set<string>();
  for (const { registry, root, tagKey } of images.values()) {
    if (tagKey !== undefined && isAdvertised(tagKey) && !tags.has(tagKey)) {
      tags.add(tagKey);
      of(registry).tags += 1;
    }
    if (isAdvertised(root) && !roots.has(root)) {
      roots.add(root);
      of(registry).images += 1;
    }
  }
  for (const digest of held) {
    if (!isAdvertised(digest)) continue;
    const [image] = images.ownersOf(digest);
    of(image?.registry ?? '').content += 1;
  }
  return counts;
}
