import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { parseReference, tagName, type Reference } from '../oci/reference.ts';
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

/** Content under a name. */
export type NamedContent = Pick<ContentRequest, 'registry' | 'repository' | 'tag' | 'digest'>;

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
  readonly #tagged = new Map<string, Set<TrackedImage>>();

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

  /** Whether there is an image of this repository with the tag, or with the digest as one of its parts. */
  holds({ registry, repository, tag, digest }: NamedContent): boolean {
    if (tag !== undefined) return this.#images.has(tagName(registry, repository, tag));
    if (digest === undefined) return false;
    return this.ownersOf(digest).some(({ name }) => {
      const reference = parseReference(name);
      return reference?.registry === registry && reference.repository === repository;
    });
  }

  /** The images of a tag: several when the store has names for it that differ in how their registry is written. */
  withTag(tagKey: string): readonly TrackedImage[] {
    return [...(this.#tagged.get(tagKey) ?? [])];
  }

  /**
   * Names of the image records of a tag, other than its key: the store has the registry as it was written,
   * `Registry.example` or `index.docker.io`.
   */
  recordNames(tagKey: string): string[] {
    const names = this.withTag(tagKey).map(({ name }) => name);
    return names.filter((name) => name !== tagKey);
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
    for (const digest of image.tree.digests) addTo(this.#owners, digest, image);
    if (image.tagKey !== undefined) addTo(this.#tagged, image.tagKey, image);
  }

  #disown(image: TrackedImage): void {
    for (const digest of image.tree.digests) removeFrom(this.#owners, digest, image);
    if (image.tagKey !== undefined) removeFrom(this.#tagged, image.tagKey, image);
  }
}

function addTo<K>(sets: Map<K, Set<TrackedImage>>, key: K, image: TrackedImage): void {
  const images = sets.get(key);
  if (images === undefined) sets.set(key, new Set([image]));
  else images.add(image);
}

function removeFrom<K>(sets: Map<K, Set<TrackedImage>>, key: K, image: TrackedImage): void {
  const images = sets.get(key);
  images?.delete(image);
  if (images?.size === 0) sets.delete(key);
}
