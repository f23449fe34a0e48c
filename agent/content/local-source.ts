import type { Logger } from 'pino';

import type { DataPlane } from '../native/data-plane.ts';
import { rangeOf, type ContentRequest } from '../oci/content-request.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { ManifestError } from '../oci/manifest.ts';
import { isIndexType, isManifestType } from '../oci/media-type.ts';
import { tagName } from '../oci/reference.ts';
import { StoreUnavailableError, type ContentStore, type OpenBlob } from '../store/content-store.ts';
import { readManifest } from '../store/read-manifest.ts';
import {
  LOCAL_ORIGIN,
  SourceUnavailableError,
  type Content,
  type ContentSource,
} from './content-source.ts';
import { LocalBlob } from './local-blob.ts';
import { ManifestCache, type CachedManifest } from './manifest-cache.ts';
import { SingleFlightReads } from './single-flight-reads.ts';

/** Image records of one tag that are read. */
const MAX_NAMES = 8;

export interface LocalSourceComponents {
  readonly store: ContentStore;
  /** Names of further image records of a tag, see `Inventory.recordNames`. Default: none. */
  readonly recordNames?: (tagKey: string) => readonly string[];
  /** The way of large blobs within the kernel. Default: they go as streams. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  readonly logger: Logger;
}

/** Gives content that this node holds in its store. */
export class LocalSource implements ContentSource {
  readonly #store: ContentStore;
  readonly #reads: SingleFlightReads;
  readonly #recordNames: (tagKey: string) => readonly string[];
  readonly #manifests = new ManifestCache();
  readonly #dataPlane: Pick<DataPlane, 'kernel'> | undefined;
  readonly #logger: Logger;

  constructor({ store, recordNames, dataPlane, logger }: LocalSourceComponents) {
    this.#store = store;
    this.#recordNames = recordNames ?? (() => []);
    this.#reads = new SingleFlightReads(store);
    this.#dataPlane = dataPlane;
    this.#logger = logger;
  }

  /**
   * @returns `undefined` when the content is not here, when it cannot be read, which is logged, and when the request
   *   is for a manifest and the content is none
   * @throws SourceUnavailableError while the store cannot be reached
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    try {
      const record = await this.#resolveTag(request, signal);
      const digest = request.digest ?? record?.digest;
      if (digest === undefined) return undefined;
      if (request.kind === 'blob') return await this.#fetchBlob(request, digest, signal);
      return await this.#fetchManifest(request, { digest, record }, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof StoreUnavailableError) {
        throw new SourceUnavailableError('the store cannot be reached', { cause: error });
      }
      this.#logger.warn({ err: error, digest: request.digest }, 'local content cannot be read');
      return undefined;
    }
  }

  async #resolveTag(
    { registry, repository, tag }: ContentRequest,
    signal: AbortSignal,
  ): Promise<Descriptor | undefined> {
    if (tag === undefined) return undefined;
    const key = tagName(registry, repository, tag);
    for (const name of [key, ...this.#recordNames(key).slice(0, MAX_NAMES)]) {
      const digest = await this.#reads.target(name, signal);
      if (digest !== undefined) return digest;
    }
    return undefined;
  }

  async #fetchManifest(
    { method }: ContentRequest,
    { digest, record }: { readonly digest: Digest; readonly record: Descriptor | undefined },
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    const manifest = await this.#manifest(digest, signal);
    if (manifest === undefined) return undefined;
    const { bytes } = manifest;
    const mediaType = typeOf(manifest, record);
    const content = { descriptor: { mediaType, digest, size: bytes.length }, origin: LOCAL_ORIGIN };
    return method === 'HEAD' ? { ...content, kind: 'head' } : { ...content, kind: 'whole', bytes };
  }

  /** The manifest, which is read to find its media type, unless the cache has it and the store still holds it. */
  async #manifest(digest: Digest, signal: AbortSignal): Promise<CachedManifest | undefined> {
    const cached = this.#manifests.get(digest);
    if (cached !== undefined) {
      return (await this.#reads.isHeld(digest, signal)) ? cached : undefined;
    }
    await using blob = await this.#store.open(digest, signal);
    const manifest = blob && (await readIfManifest(blob, signal));
    if (manifest !== undefined) this.#manifests.add(digest, manifest);
    return manifest;
  }

  async #fetchBlob(
    request: ContentRequest,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    const blob = await this.#store.open(digest, signal);
    if (blob === undefined) return undefined;
    const components = { blob, ...(this.#dataPlane && { dataPlane: this.#dataPlane }) };
    const content = new LocalBlob(components, rangeOf(request, blob), signal);
    const { descriptor, origin, held } = content;
    if (request.method === 'HEAD') return { kind: 'head', descriptor, origin, held };
    if (blob.size > 0) return content;
    return { kind: 'whole', descriptor, origin, held, bytes: Buffer.alloc(0) };
  }
}

/** The type that the bytes state; else the one of the image's record, if it fits; else the one that was inferred. */
function typeOf({ mediaType, isStated }: CachedManifest, record: Descriptor | undefined): string {
  const recorded = record?.mediaType ?? '';
  const fits = isManifestType(recorded) && isIndexType(recorded) === isIndexType(mediaType);
  return !isStated && fits ? recorded : mediaType;
}

async function readIfManifest(
  blob: OpenBlob,
  signal: AbortSignal,
): Promise<CachedManifest | undefined> {
  try {
    const { mediaType, isStated, bytes } = await readManifest(blob, signal);
    return isManifestType(mediaType) ? { mediaType, isStated, bytes } : undefined;
  } catch (error) {
    if (error instanceof ManifestError) return undefined;
    throw error;
  }
}
