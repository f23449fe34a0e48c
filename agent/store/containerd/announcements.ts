import { LRUCache } from 'lru-cache';

import type { Digest } from '../../oci/digest.ts';
import type { ChangeHub } from '../change-hub.ts';
import type { KnownBlobs } from './known-blobs.ts';

/** Blobs remembered as announced, and as deleted. An event and the folder watch are never further apart. */
const MAX_REMEMBERED = 4_096;

/** Publishes each change of a blob once, although an event, the folder watch and polling may all find it. */
export class Announcements {
  readonly #known: KnownBlobs;
  readonly #hub: ChangeHub;
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #announced = new LRUCache<Digest, true>({
    maxSize: MAX_REMEMBERED,
    sizeCalculation: () => 1,
  });
  /** Blobs that were last announced as deleted. */
  readonly #deleted = new LRUCache<Digest, true>({
    maxSize: MAX_REMEMBERED,
    sizeCalculation: () => 1,
  });

  constructor(known: KnownBlobs, hub: ChangeHub) {
    this.#known = known;
    this.#hub = hub;
  }

  /** Whether the blob was announced lately and not deleted since. */
  has(digest: Digest): boolean {
    return this.#announced.has(digest);
  }

  /** Forgets all. To be called before a relist, so that a missed change cannot suppress a later announcement. */
  forget(): void {
    this.#announced.clear();
    this.#deleted.clear();
  }

  /** Announces a blob of `size` bytes that is in our namespace. */
  added(digest: Digest, size: number): void {
    this.#known.add(digest, size);
    this.#deleted.delete(digest);
    if (this.#announced.has(digest)) return;
    this.#announced.set(digest, true);
    this.#hub.publish({ kind: 'blob-added', digest });
  }

  /**
   * Announces that a blob is no longer in our namespace. Also of a blob that was not known: a listing that names it may
   * be on its way to a consumer.
   */
  deleted(digest: Digest): void {
    this.#announced.delete(digest);
    if (!this.#known.delete(digest) && this.#deleted.has(digest)) return;
    this.#deleted.set(digest, true);
    this.#hub.publish({ kind: 'blob-deleted', digest });
  }
}
