import pLimit from 'p-limit';
import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { parseDigest, type Digest } from '../oci/digest.ts';
import { parseReference, tagName } from '../oci/reference.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { ContentStore, StoreChange, StoredImage } from '../store/content-store.ts';
import { Backoff } from '../timing/backoff.ts';
import { isAborted } from '../timing/pause.ts';
import { walkImage, type ImageTree } from './image-tree.ts';
import { LogOnce } from './log-once.ts';
import type { Publisher } from './publisher.ts';

/** Blobs of an image that are looked for at a time. */
const MAX_LOOKS = 16;

/** What an {@link Inventory} works with. */
export interface InventoryComponents {
  readonly store: ContentStore;
  readonly publisher: Pick<Publisher, 'set' | 'isWanted'>;
  readonly policy: SharePolicy;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** What the node holds, in numbers. */
export interface InventoryStatus {
  /** Whether the store has been listed at least once. */
  readonly synced: boolean;
  readonly images: number;
  readonly blobs: number;
}

interface TrackedImage {
  readonly name: string;
  readonly registry: string;
  readonly root: Digest;
  readonly tree: ImageTree;
  /** The tag's key in the directory; absent when the name has no tag or the tag is not shared. */
  readonly tagKey: string | undefined;
  readonly sharesContent: boolean;
}

/**
 * Knows what the store holds, and tells the publisher which keys to advertise: each shared tag whose
 * manifest is here, and each digest that is here unless every image it belongs to is left out by policy.
 *
 * A blob that belongs to no image yet is advertised too: while containerd pulls, its layers are complete
 * long before the image record appears, and other nodes want them just then.
 */
export class Inventory {
  readonly #store: ContentStore;
  readonly #publisher: Pick<Publisher, 'set' | 'isWanted'>;
  readonly #policy: SharePolicy;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #logOnce = new LogOnce();
  readonly #images = new Map<string, TrackedImage>();
  readonly #held = new Set<Digest>();
  readonly #claims = new Map<Digest, Set<TrackedImage>>();
  #synced = false;

  constructor(components: InventoryComponents) {
    this.#store = components.store;
    this.#publisher = components.publisher;
    this.#policy = components.policy;
    this.#metrics = components.metrics;
    this.#logger = components.logger;
  }

  status(): InventoryStatus {
    return { synced: this.#synced, images: this.#images.size, blobs: this.#held.size };
  }

  /** Advertised keys by registry, for the gauges; walks the whole inventory. */
  countByRegistry(): Map<string, { tags: number; images: number; content: number }> {
    const counts = new Map<string, { tags: number; images: number; content: number }>();
    const of = (registry: string): { tags: number; images: number; content: number } => {
      let count = counts.get(registry);
      if (count === undefined) counts.set(registry, (count = { tags: 0, images: 0, content: 0 }));
      return count;
    };
    const roots = new Set<Digest>();
    for (const image of this.#images.values()) {
      if (image.tagKey !== undefined && this.#publisher.isWanted(image.tagKey)) {
        of(image.registry).tags += 1;
      }
      if (this.#publisher.isWanted(image.root) && !roots.has(image.root)) {
        roots.add(image.root);
        of(image.registry).images += 1;
      }
    }
    for (const digest of this.#held) {
      if (!this.#publisher.isWanted(digest)) continue;
      const [image] = this.#claims.get(digest) ?? [];
      of(image?.registry ?? '').content += 1;
    }
    return counts;
  }

  /** Follows the store until `signal` is aborted; rejects for no failure of the store. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const change of this.#store.changes(signal)) {
      try {
        await this.#apply(change, signal);
      } catch (error) {
        if (signal.aborted) return;
        // One change that cannot be followed must not stop the others; the next comparison mends it.
        this.#logger.warn(
          { err: error, change: change.kind },
          'could not follow a change of the store',
        );
      }
    }
  }

  async #apply(change: StoreChange, signal: AbortSignal): Promise<void> {
    this.#metrics.storeChanges.inc({ kind: change.kind });
    switch (change.kind) {
      case 'image-set': {
        const image = await this.#store.image(change.name, signal);
        if (image === undefined) this.#dropImage(change.name);
        else await this.#trackImage(image, signal);
        return;
      }
      case 'image-deleted':
        this.#dropImage(change.name);
        return;
      case 'blob-added':
        await this.#addBlob(change.digest, signal);
        return;
      case 'blob-deleted':
        this.#dropBlob(change.digest);
        return;
      case 'relist':
        await this.#relist(signal);
        return;
    }
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    let complained = false;
    while (!signal.aborted) {
      try {
        await this.#listOnce(signal);
        if (complained) this.#logger.info('the store can be listed again');
        const first = !this.#synced;
        this.#synced = true;
        if (first) this.#logger.info(this.status(), 'store listed');
        return;
      } catch (error) {
        if (isAborted(signal)) return;
        const level = complained ? 'debug' : 'warn';
        this.#logger[level]({ err: error }, 'could not list the store, will retry');
        complained = true;
        await backoff.wait(signal);
      }
    }
  }

  async #listOnce(signal: AbortSignal): Promise<void> {
    const held = new Set<Digest>();
    for await (const batch of this.#store.blobs(signal)) {
      for (const { digest } of batch) held.add(digest);
    }
    const images = await this.#store.images(signal);

    for (const digest of this.#held) if (!held.has(digest)) this.#dropBlob(digest);
    for (const digest of held) this.#held.add(digest);

    const names = new Set(images.map((image) => image.name));
    for (const name of this.#images.keys()) if (!names.has(name)) this.#dropImage(name);
    for (const image of images) {
      const known = this.#images.get(image.name);
      const current =
        known?.root === image.target.digest &&
        // What was unreadable may have been half-written then.
        known.tree.broken.size === 0 &&
        known.tree.missing.isDisjointFrom(this.#held);
      if (!current) await this.#trackImage(image, signal);
    }
    // Last, when all claims are known: otherwise a blob of an image that is left out would be
    // advertised for the time of the walk.
    for (const digest of this.#held) this.#review(digest);
    for (const image of this.#images.values()) this.#reviewTag(image);
  }

  async #trackImage({ name, target }: StoredImage, signal: AbortSignal): Promise<void> {
    // CRI keeps aliases whose name is the bare digest of the config.
    if (parseDigest(name) !== undefined) return;
    const reference = parseReference(name);
    if (reference === undefined) {
      if (this.#logOnce.first(`name ${name}`)) {
        this.#metrics.storeProblems.inc({ reason: 'unparsable-name' });
        this.#logger.warn({ image: name.slice(0, 300) }, 'image name cannot be parsed, left out');
      }
      return;
    }

    const tree = await walkImage(this.#store, target, signal);
    for (const [digest, reason] of tree.broken) {
      if (!this.#logOnce.first(`manifest ${digest}`)) continue;
      this.#metrics.storeProblems.inc({ reason: 'broken-manifest' });
      this.#logger.warn(
        { image: name, digest, reason },
        'manifest cannot be read, its content left out',
      );
    }

    await this.#findUnannounced(tree, signal);
    const { registry, repository, tag, digest } = reference;
    // A name with both tag and digest is pinned: it does not say what the tag points to now.
    const tagged = tag !== undefined && digest === undefined;
    const sharesTag = tagged && this.#policy.sharesTag(registry, repository, tag);
    this.#replaceImage(name, {
      name,
      registry,
      root: target.digest,
      tree,
      tagKey: sharesTag ? tagName(registry, repository, tag) : undefined,
      sharesContent: this.#policy.sharesContent(registry, repository),
    });
  }

  /**
   * Takes in what of the image is there without the store having said so: it does not hear of every blob, and
   * of some it hears late. Manifests that the walk has just missed are not looked for once more.
   */
  async #findUnannounced({ digests, missing }: ImageTree, signal: AbortSignal): Promise<void> {
    const unheld = [...digests].filter((each) => !this.#held.has(each) && !missing.has(each));
    await pLimit(MAX_LOOKS).map(unheld, async (each) => {
      if ((await this.#store.stat(each, signal)) !== undefined) this.#held.add(each);
    });
  }

  #replaceImage(name: string, next: TrackedImage | undefined): void {
    const previous = this.#images.get(name);
    if (next === undefined) this.#images.delete(name);
    else this.#images.set(name, next);

    if (next !== undefined) this.#claim(next);
    if (previous !== undefined) {
      for (const digest of previous.tree.digests) {
        const claims = this.#claims.get(digest);
        claims?.delete(previous);
        if (claims?.size === 0) this.#claims.delete(digest);
        this.#review(digest);
      }
      if (previous.tagKey !== undefined && previous.tagKey !== next?.tagKey) {
        this.#publisher.set(previous.tagKey, false);
      }
    }
    if (next !== undefined) {
      for (const digest of next.tree.digests) this.#review(digest);
      this.#reviewTag(next);
    }
  }

  #claim(image: TrackedImage): void {
    for (const digest of image.tree.digests) {
      const claims = this.#claims.get(digest);
      if (claims === undefined) this.#claims.set(digest, new Set([image]));
      else claims.add(image);
    }
  }

  #dropImage(name: string): void {
    if (this.#images.has(name)) this.#replaceImage(name, undefined);
  }

  async #addBlob(digest: Digest, signal: AbortSignal): Promise<void> {
    this.#held.add(digest);
    this.#review(digest);
    for (const image of [...(this.#claims.get(digest) ?? [])]) {
      if (image.tree.missing.has(digest) || image.tree.broken.has(digest)) {
        const record = await this.#store.image(image.name, signal);
        if (record !== undefined) await this.#trackImage(record, signal);
      }
      if (image.root === digest) this.#reviewTag(this.#images.get(image.name) ?? image);
    }
  }

  #dropBlob(digest: Digest): void {
    this.#held.delete(digest);
    this.#review(digest);
    for (const image of this.#claims.get(digest) ?? []) {
      if (image.root === digest) this.#reviewTag(image);
    }
  }

  #review(digest: Digest): void {
    this.#publisher.set(digest, this.#held.has(digest) && this.isShared(digest));
  }

  #reviewTag({ tagKey, root, tree }: TrackedImage): void {
    if (tagKey === undefined) return;
    this.#publisher.set(tagKey, this.#held.has(root) && !tree.broken.has(root));
  }

  /** Names of the images that the blob belongs to. */
  imagesOf(digest: Digest): string[] {
    return [...(this.#claims.get(digest) ?? [])].map(({ name }) => name);
  }

  /** Whether the content is shared: not when every image that it belongs to is left out. */
  isShared(digest: Digest): boolean {
    const claims = this.#claims.get(digest);
    if (claims === undefined) return true;
    for (const image of claims) if (image.sharesContent) return true;
    return false;
  }
}
