import { createHash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';

/** Bytes of all cached manifests: room for some thousand of the usual 1 to 4 KiB. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Largest manifest that is cached, in bytes. A few larger ones would displace all others. */
const MAX_CACHED_BYTES = 64 * 1024;

/** A manifest as the cache keeps it. */
export interface CachedManifest {
  readonly mediaType: string;
  /** Whether the bytes state their type; see `parseManifest`. */
  readonly isStated: boolean;
  readonly bytes: Buffer;
}

/**
 * Manifests of this node in memory, so that a request does not open, read and parse a file. Their bytes match their
 * digests, but only the store knows whether the node still holds them. Bounded: the least recently used manifest is
 * evicted first.
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

  /** Caches the manifest, unless it is too large or does not match its digest. */
  add(digest: Digest, manifest: CachedManifest): void {
    const { bytes } = manifest;
    if (bytes.length === 0 || bytes.length > MAX_CACHED_BYTES || this.#manifests.has(digest))
      return;
    const hash = createHash(digestAlgorithm(digest)).update(bytes).digest('hex');
    if (hash === digestHex(digest)) this.#manifests.set(digest, manifest);
  }
}
