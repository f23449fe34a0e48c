import type { Digest } from '../../oci/digest.ts';
import type { ChangeHub } from '../change-hub.ts';
import type { KnownBlobs } from './known-blobs.ts';

/** Blobs that are remembered as announced; an event and the folder watch are never further apart than that. */
const REMEMBERED = 4_096;

/** Tells the hub of each blob once, although an event, the folder watch and polling may all have found it. */
export class Announcements {
  readonly #known: KnownBlobs;
  readonly #hub: ChangeHub;
  readonly #announced = new Set<Digest>();
  /** Blobs last told of as gone. */
  readonly #gone = new Set<Digest>();

  constructor(known: KnownBlobs, hub: ChangeHub) {
    this.#known = known;
    this.#hub = hub;
  }

  /** Whether the blob was announced lately and has not gone since. */
  has(digest: Digest): boolean {
    return this.#announced.has(digest);
  }

  /** Everything is about to be listed: what was missed until then must not keep a blob from being told of. */
  forget(): void {
    this.#announced.clear();
    this.#gone.clear();
  }

  /** containerd holds the blob in our namespace, with `size` bytes. */
  added(digest: Digest, size: number): void {
    this.#known.add(digest, size);
    this.#gone.delete(digest);
    if (this.#announced.has(digest)) return;
    remember(this.#announced, digest);
    this.#hub.publish({ kind: 'blob-added', digest });
  }

  /**
   * The blob is not in our namespace any more. Told even of blobs that were not known to be: a listing that
   * still names it may be on its way to a consumer.
   */
  deleted(digest: Digest): void {
    this.#announced.delete(digest);
    if (!this.#known.delete(digest) && this.#gone.has(digest)) return;
    remember(this.#gone, digest);
    this.#hub.publish({ kind: 'blob-deleted', digest });
  }
}

function remember(digests: Set<Digest>, digest: Digest): void {
  digests.add(digest);
  if (digests.size <= REMEMBERED) return;
  const [oldest] = digests;
  if (oldest !== undefined) digests.delete(oldest);
}
