import { createHash } from 'node:crypto';

import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';

/** Bytes of manifests that are kept at most: some thousand of the usual 1 to 4 KiB. */
const MAX_BYTES = 4 * 1024 * 1024;

/** A manifest larger than this, in bytes, is not kept: a few such would drive out all others. */
const MAX_MANIFEST_BYTES = 64 * 1024;

/** A manifest whose bytes have been checked against its digest. */
export interface CachedManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/**
 * Manifests of this node in memory, to be sent without opening, reading and parsing a file for each request. What is
 * in it is right, but says nothing about whether the node still holds it: ask the store. Bounded: the one that was
 * not asked for the longest makes way.
 */
export class ManifestCache {
  readonly #manifests = new Map<Digest, CachedManifest>();
  #bytes = 0;

  get(digest: Digest): CachedManifest | undefined {
    const found = this.#manifests.get(digest);
    if (found === undefined) return undefined;
    this.#manifests.delete(digest);
    this.#manifests.set(digest, found);
    return found;
  }

  /** Keeps it, unless it is large or not what its digest says. */
  add(digest: Digest, manifest: CachedManifest): void {
    const { bytes } = manifest;
    if (bytes.length > MAX_MANIFEST_BYTES || this.#manifests.has(digest)) return;
    const hash = createHash(digestAlgorithm(digest)).update(bytes).digest('hex');
    if (hash !== digestHex(digest)) return;
    this.#manifests.set(digest, manifest);
    this.#bytes += bytes.length;
    for (const [oldest, { bytes: old }] of this.#manifests) {
      if (this.#bytes <= MAX_BYTES) break;
      this.#manifests.delete(oldest);
      this.#bytes -= old.length;
    }
  }
}
