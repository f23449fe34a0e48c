import type { Digest } from '../oci/digest.ts';
import { tagName, type Reference } from '../oci/reference.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { ImageTree } from './image-tree.ts';

/** An image of the store, with all that is known of it. */
export interface TrackedImage {
  readonly name: string;
  readonly registry: string;
  readonly root: Digest;
  readonly tree: ImageTree;
  /** The key of the tag in content routing; undefined when the name has no tag or the tag is not shared. */
  readonly tagKey: string | undefined;
  readonly sharesContent: boolean;
}

/** What of an image is shared, by its name and the policy. */
export function sharedParts(
  { registry, repository, tag, digest }: Reference,
  policy: SharePolicy,
): Pick<TrackedImage, 'registry' | 'tagKey' | 'sharesContent'> {
  // A name with tag and digest is pinned: its tag may point to another digest now.
  const isTagged = tag !== undefined && digest === undefined;
  const sharesTag = isTagged && policy.sharesTag(registry, repository, tag);
  return {
    registry,
    tagKey: sharesTag ? tagName(registry, repository, tag) : undefined,
    sharesContent: policy.sharesContent(registry, repository),
  };
}

/** The images of the store by name, and for each digest the images that it belongs to. */
export class TrackedImages {
  readonly #images = new Map<string, TrackedImage>();
  readonly #owners = new Map<Digest, Set<TrackedImage>>();

  get size(): number {
    return this.#images.size;
  }

  get(name: string): TrackedImage | undefined {
    return this.#images.get(name);
  }

  names(): Iterable<string> {
    return this.#images.keys();
  }

  values(): Iterable<TrackedImage> {
    return this.#images.values();
  }

  /** Sets the image of a name, or removes it; the image that had the name before. */
  replace(name: string, next: TrackedImage | undefined): TrackedImage | undefined {
    const previous = this.#images.get(name);
    if (next === undefined) this.#images.delete(name);
    else this.#images.set(name, next);
    if (next !== undefined) this.#own(next);
    if (previous !== undefined) this.#disown(previous);
    return previous;
  }

  /** The images that the blob belongs to. */
  ownersOf(digest: Digest): readonly TrackedImage[] {
    return [...(this.#owners.get(digest) ?? [])];
  }

  /**
   * Whether the content is shared: not when policy excludes every image that it belongs to. A blob that belongs to no
   * image yet is shared.
   */
  isShared(digest: Digest): boolean {
    const owners = this.#owners.get(digest);
    if (owners === undefined) return true;
    for (const image of owners) if (image.sharesContent) return true;
    return false;
  }

  #own(image: TrackedImage): void {
    for (const digest of image.tree.digests) {
      const owners = this.#owners.get(digest);
      if (owners === undefined) this.#owners.set(digest, new Set([image]));
      else owners.add(image);
    }
  }

  #disown(image: TrackedImage): void {
    for (const digest of image.tree.digests) {
      const owners = this.#owners.get(digest);
      owners?.delete(image);
      if (owners?.size === 0) this.#owners.delete(digest);
    }
  }
}
