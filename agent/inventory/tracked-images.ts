import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { parseReference, pinnedName, tagName, type Reference } from '../oci/reference.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { ImageTree } from './image-tree.ts';

/** Manifests of an imported image that are advertised with their name: more than any index has platforms. */
const MAX_PINNED = 64;

/** An image of the store, with all that is known of it. */
export interface TrackedImage {
  readonly name: string;
  readonly registry: string;
  readonly root: Digest;
  readonly tree: ImageTree;
  /** The key of the tag in content routing; undefined when the name has no tag or the tag is not shared. */
  readonly tagKey: string | undefined;
  /** The keys of an imported image by the digests of its manifests; empty when the policy does not depend on that. */
  readonly pinnedKeys: readonly string[];
  readonly sharesContent: boolean;
}

/** Content under a name. */
export type NamedContent = Pick<ContentRequest, 'registry' | 'repository' | 'tag' | 'digest'>;

/**
 * What of an image is shared, by its name and the policy.
 *
 * @param isImported see {@link ImportedImages.has}
 */
export function sharedParts(
  { registry, repository, tag, digest }: Reference,
  { tree, isImported }: Pick<TrackedImage, 'tree'> & { readonly isImported: boolean },
  policy: SharePolicy,
): Pick<TrackedImage, 'registry' | 'tagKey' | 'pinnedKeys' | 'sharesContent'> {
  // A name with tag and digest is pinned: its tag may point to another digest now.
  const isTagged = tag !== undefined && digest === undefined;
  const sharesTag = isTagged && policy.sharesTag(registry, repository, tag, isImported);
  const pinned = isImported ? [...tree.manifests].slice(0, MAX_PINNED) : [];
  return {
    registry,
    tagKey: sharesTag ? tagName(registry, repository, tag) : undefined,
    pinnedKeys: pinned.map((it) => pinnedName(registry, repository, it)),
    sharesContent: policy.sharesContent(registry, repository),
  };
}

/** The images of the store by name, and for each digest the images that it belongs to. */
export class TrackedImages {
  readonly #images = new Map<string, TrackedImage>();
  readonly #owners = new Map<Digest, Set<TrackedImage>>();
  readonly #named = new Map<string, Set<TrackedImage>>();

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

  /** Whether an image was imported under this name, and the policy depends on that. */
  isImported({ registry, repository, tag, digest }: NamedContent): boolean {
    if (digest !== undefined) return this.#named.has(pinnedName(registry, repository, digest));
    const images = tag === undefined ? [] : this.withKey(tagName(registry, repository, tag));
    return images.some(({ pinnedKeys }) => pinnedKeys.length > 0);
  }

  /**
   * The images of a tag, or of a digest by name: several when the store has names for it that differ in how their registry
   * is written.
   */
  withKey(key: string): readonly TrackedImage[] {
    return [...(this.#named.get(key) ?? [])];
  }

  /**
   * Names of the image records of a tag, other than its key: the store has the registry as it was written,
   * `Registry.example` or `index.docker.io`.
   */
  recordNames(tagKey: string): string[] {
    const names = this.withKey(tagKey).map(({ name }) => name);
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
    for (const key of nameKeys(image)) addTo(this.#named, key, image);
  }

  #disown(image: TrackedImage): void {
    for (const digest of image.tree.digests) removeFrom(this.#owners, digest, image);
    for (const key of nameKeys(image)) removeFrom(this.#named, key, image);
  }
}

/** The keys of the image in content routing, other than digests. */
export function nameKeys({ tagKey, pinnedKeys }: TrackedImage): readonly string[] {
  return tagKey === undefined ? pinnedKeys : [tagKey, ...pinnedKeys];
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
