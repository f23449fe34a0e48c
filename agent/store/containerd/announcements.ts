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
  }

  /** containerd holds the blob in our namespace, with `size` bytes. */
  added(digest: Digest, size: number): void {
    this.#known.add(digest, size);
    if (this.#announced.has(digest)) return;
    this.#announced.add(digest);
    if (this.#announced.size > REMEMBERED) {
      const [oldest] = this.#announced;
      if (oldest !== undefined) this.#announced.delete(oldest);
    }
    this.#hub.publish({ kind: 'blob-added', digest });
  }

  /** The blob is not in our namespace any more. Nothing is told of blobs that were never known to be. */
  deleted(digest: Digest): void {
    this.#announced.delete(digest);
    if (this.#known.delete(digest)) this.#hub.publish({ kind: 'blob-deleted', digest });
  }
}
