import { createHash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';

/** Bytes of manifests that are kept at most: some thousand of the usual 1 to 4 KiB. */
const MAX_BYTES = 4 * 1024 * 1024;

/** A manifest larger than this, in bytes, is not kept: a few such would drive out all others. */
const MAX_CACHED_BYTES = 64 * 1024;

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
  readonly #manifests = new LRUCache<Digest, CachedManifest>({
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_CACHED_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length,
  });

  get(digest: Digest): CachedManifest | undefined {
    return this.#manifests.get(digest);
  }

  /** Keeps the manifest, unless it is large or does not match its digest. */
  add(digest: Digest, manifest: CachedManifest): void {
    const { bytes } = manifest;
    if (bytes.length === 0 || bytes.length > MAX_CACHED_BYTES || this.#manifests.has(digest))
      return;
    const hash = createHash(digestAlgorithm(digest)).update(bytes).digest('hex');
    if (hash === digestHex(digest)) this.#manifests.set(digest, manifest);
  }
}
