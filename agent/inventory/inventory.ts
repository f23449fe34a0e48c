import pLimit from 'p-limit';
import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { parseDigest, type Digest } from '../oci/digest.ts';
import { parseReference } from '../oci/reference.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { ContentStore, StoreChange, StoredImage } from '../store/content-store.ts';
import { Backoff } from '../timing/backoff.ts';
import { isAborted } from '../timing/pause.ts';
import { walkImage, type ImageTree } from './image-tree.ts';
import type { ImportedImages } from './imported-images.ts';
import { LogOnce } from './log-once.ts';
import type { Publisher } from './publisher.ts';
import { countByRegistry, type RegistryCounts } from './registry-counts.ts';
import {
  nameKeys,
  sharedParts,
  TrackedImages,
  type NamedContent,
  type TrackedImage,
} from './tracked-images.ts';

/** Blobs of an image whose presence is checked at a time. */
const STAT_CONCURRENCY = 16;

export interface InventoryComponents {
  readonly store: ContentStore;
  readonly publisher: Pick<Publisher, 'set' | 'isWanted'>;
  readonly policy: SharePolicy;
  /** Default: no image counts as imported. */
  readonly imported?: Pick<ImportedImages, 'has'>;
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

/**
 * Follows the content of the store, and passes the keys to advertise to the publisher: each shared tag whose
 * manifest is held, and each digest that is held unless policy excludes every image it belongs to. Of an imported image
 * the digests of the manifests are advertised with its name too, where the policy resolves the names of imported images only.
 *
 * A blob that belongs to no image yet is advertised too. While containerd pulls, layers are complete
 * long before the image record appears, and other nodes want them at that time.
 */
export class Inventory {
  readonly #store: ContentStore;
  readonly #publisher: Pick<Publisher, 'set' | 'isWanted'>;
  readonly #policy: SharePolicy;
  readonly #imported: Pick<ImportedImages, 'has'> | undefined;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #logOnce = new LogOnce();
  readonly #images = new TrackedImages();
  readonly #held = new Set<Digest>();
  #synced = false;

  constructor(components: InventoryComponents) {
    this.#store = components.store;
    this.#publisher = components.publisher;
    this.#policy = components.policy;
    this.#imported = components.imported;
    this.#metrics = components.metrics;
    this.#logger = components.logger;
  }

  status(): InventoryStatus {
    return { synced: this.#synced, images: this.#images.size, blobs: this.#held.size };
  }

  /** Advertised keys by registry, for the gauges; walks the whole inventory. */
  countByRegistry(): Map<string, RegistryCounts> {
    return countByRegistry(this.#images, this.#held, (key) => this.#publisher.isWanted(key));
  }

  /** Names of the images that the blob belongs to. */
  imagesOf(digest: Digest): string[] {
    return this.#images.ownersOf(digest).map(({ name }) => name);
  }

  /** Whether the content is shared: not when policy excludes every image that it belongs to. */
  isShared(digest: Digest): boolean {
    return this.#images.isShared(digest);
  }

  /** See {@link TrackedImages.holds}. */
  holds(content: NamedContent): boolean {
    return this.#images.holds(content);
  }

  /** See {@link TrackedImages.isImported}. */
  isImported(content: NamedContent): boolean {
    return this.#images.isImported(content);
  }

  /** See {@link TrackedImages.recordNames}. */
  recordNames(tagKey: string): string[] {
    return this.#images.recordNames(tagKey);
  }

  /** Follows the store until `signal` is aborted; rejects for no failure of the store. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const change of this.#store.changes(signal)) {
      try {
        await this.#apply(change, signal);
      } catch (err) {
        if (signal.aborted) return;
        // One change that fails must not stop the others; the next comparison corrects it.
        this.#logger.warn({ err, change: change.kind }, 'could not follow a change of the store');
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
    let hasWarned = false;
    while (!signal.aborted) {
      try {
        await this.#listOnce(signal);
        if (hasWarned) this.#logger.info('the store can be listed again');
        const first = !this.#synced;
        this.#synced = true;
        if (first) this.#logger.info(this.status(), 'store listed');
        return;
      } catch (error) {
        if (isAborted(signal)) return;
        const level = hasWarned ? 'debug' : 'warn';
        this.#logger[level]({ err: error }, 'could not list the store, will retry');
        hasWarned = true;
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
    for (const name of this.#images.names()) if (!names.has(name)) this.#dropImage(name);
    for (const image of images) {
      const known = this.#images.get(image.name);
      const isCurrent =
        known?.root === image.target.digest &&
        // An unreadable manifest may have been half-written then.
        known.tree.broken.size === 0 &&
        known.tree.missing.isDisjointFrom(this.#held);
      if (!isCurrent) await this.#trackImage(image, signal);
    }
    // Last, when all images are known: a blob of an excluded image must not be advertised before.
    for (const digest of this.#held) this.#review(digest);
    for (const image of this.#images.values()) this.#reviewNames(image);
  }

  async #trackImage({ name, target }: StoredImage, signal: AbortSignal): Promise<void> {
    // CRI keeps aliases whose name is only the digest of the config.
    if (parseDigest(name) !== undefined) return;
    const reference = parseReference(name);
    if (reference === undefined) {
      if (this.#logOnce.isFirst(`name ${name}`)) {
        this.#metrics.storeProblems.inc({ reason: 'unparsable-name' });
        this.#logger.warn({ image: name.slice(0, 300) }, 'image name cannot be parsed, left out');
      }
      return;
    }

    const tree = await walkImage(this.#store, target, signal);
    for (const [digest, reason] of tree.broken) {
      if (!this.#logOnce.isFirst(`manifest ${digest}`)) continue;
      this.#metrics.storeProblems.inc({ reason: 'broken-manifest' });
      this.#logger.warn(
        { image: name, digest, reason },
        'manifest cannot be read, its content left out',
      );
    }

    await this.#findUnannounced(tree, signal);
    const root = target.digest;
    const isImported = (await this.#imported?.has(reference, root, signal)) ?? false;
    const shared = sharedParts(reference, { tree, isImported }, this.#policy);
    this.#replaceImage(name, { name, root, tree, ...shared });
  }

  /**
   * Finds blobs of the image that the store holds and has not announced: it misses some, and announces some late.
   * Manifests that the walk has just missed are not checked again.
   */
  async #findUnannounced({ digests, missing }: ImageTree, signal: AbortSignal): Promise<void> {
    const unheld = [...digests].filter((each) => !this.#held.has(each) && !missing.has(each));
    await pLimit(STAT_CONCURRENCY).map(unheld, async (each) => {
      if ((await this.#store.stat(each, signal)) !== undefined) this.#held.add(each);
    });
  }

  #replaceImage(name: string, next: TrackedImage | undefined): void {
    const previous = this.#images.replace(name, next);
    for (const image of [previous, next]) {
      for (const digest of image?.tree.digests ?? []) this.#review(digest);
      if (image !== undefined) this.#reviewNames(image);
    }
  }

  #dropImage(name: string): void {
    if (this.#images.get(name) !== undefined) this.#replaceImage(name, undefined);
  }

  async #addBlob(digest: Digest, signal: AbortSignal): Promise<void> {
    this.#held.add(digest);
    this.#review(digest);
    for (const image of this.#images.ownersOf(digest)) {
      if (image.tree.missing.has(digest) || image.tree.broken.has(digest)) {
        const record = await this.#store.image(image.name, signal);
        if (record !== undefined) await this.#trackImage(record, signal);
      }
      if (image.root === digest) this.#reviewNames(image);
    }
  }

  #dropBlob(digest: Digest): void {
    this.#held.delete(digest);
    this.#review(digest);
    for (const image of this.#images.ownersOf(digest)) {
      if (image.root === digest) this.#reviewNames(image);
    }
  }

  #review(digest: Digest): void {
    this.#publisher.set(digest, this.#held.has(digest) && this.#images.isShared(digest));
  }

  #reviewNames(image: TrackedImage): void {
    for (const key of nameKeys(image)) {
      const images = this.#images.withKey(key);
      const isHeld = images.some((it) => this.#held.has(it.root) && !it.tree.broken.has(it.root));
      this.#publisher.set(key, isHeld);
    }
  }
}
