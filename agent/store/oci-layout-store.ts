import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest, type Digest } from '../oci/digest.ts';
import { BlobFile, blobFileSize } from './blob-file.ts';
import { ChangeHub } from './change-hub.ts';
import {
  StoreUnavailableError,
  type ContentStore,
  type OpenBlob,
  type StoreChange,
  type StoredBlob,
  type StoredImage,
} from './content-store.ts';
import { unlessMissing } from '../errors/system-error.ts';
import { ImageIndex } from './oci-layout/image-index.ts';
import { LayoutFeed } from './oci-layout/layout-feed.ts';

export interface OciLayoutStoreInit {
  /** The folder that holds `index.json` and `blobs/`. It may be created later, and removed. */
  readonly path: string;
  readonly logger: Logger;
  /** Called when the store can be reached, and when it no longer can. */
  readonly onReachable?: (reachable: boolean) => void;
  /**
   * Milliseconds between checks for changes that the watch missed; 60,000 by default. A check costs three `stat`
   * calls, and a relist only when something was modified since the last one.
   */
  readonly comparisonInterval?: number;
}

/** Blobs in a batch of `blobs()`. */
const BATCH = 256;
/** Folders below `blobs/`: the registered algorithms of the OCI image specification. */
const ALGORITHMS = ['sha256', 'sha512'];

/**
 * An OCI image layout on disk. Its images are the entries of `index.json` that have a name. Every file below `blobs/`
 * whose name is a digest counts as finished, so writers have to rename into place.
 *
 * @see OCI image specification, image-layout.md
 */
export class OciLayoutStore implements ContentStore {
  readonly provenance = undefined;
  readonly #path: string;
  readonly #index: ImageIndex;
  readonly #hub: ChangeHub;

  constructor(init: OciLayoutStoreInit) {
    const { path, logger } = init;
    this.#path = path;
    this.#index = new ImageIndex(path, logger);
    this.#hub = new ChangeHub({
      onReachable: init.onReachable,
      produce: (signal) =>
        new LayoutFeed({
          root: path,
          algorithms: ALGORITHMS,
          index: this.#index,
          hub: this.#hub,
          logger,
          comparisonInterval: init.comparisonInterval ?? 60_000,
        }).run(signal),
    });
  }

  async images(signal?: AbortSignal): Promise<StoredImage[]> {
    const images = await this.#reach(() => this.#index.load(), signal);
    return [...images.values()];
  }

  async image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined> {
    const images = await this.#reach(() => this.#index.load(), signal);
    return images.get(name);
  }

  async *blobs(signal?: AbortSignal): AsyncGenerator<readonly StoredBlob[], void, undefined> {
    for (const algorithm of ALGORITHMS) {
      const path = join(this.#path, 'blobs', algorithm);
      // All names at once, so that no folder stays open when the consumer or the signal ends the listing.
      const names = await this.#reach(() => unlessMissing(readdir(path)), signal);
      const digests = (names ?? [])
        .map((name) => parseDigest(`${algorithm}:${name}`))
        .filter((digest) => digest !== undefined);
      for (let first = 0; first < digests.length; first += BATCH) {
        const batch = digests.slice(first, first + BATCH);
        yield await this.#reach(() => this.#sizes(batch), signal);
      }
    }
  }

  async stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    const size = await this.#reach(() => blobFileSize(this.#path, digest), signal);
    return size === undefined ? undefined : { digest, size };
  }

  async open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined> {
    return await this.#reach(() => BlobFile.open(this.#path, digest), signal);
  }

  changes(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    return this.#hub.follow(signal);
  }

  async #sizes(digests: readonly Digest[]): Promise<StoredBlob[]> {
    const blobs = digests.map(async (digest) => {
      const size = await blobFileSize(this.#path, digest);
      return size === undefined ? [] : [{ digest, size }];
    });
    return (await Promise.all(blobs)).flat();
  }

  /** Runs `read`, and then checks that the layout still exists, so that a missing blob is not a missing layout. */
  async #reach<T>(read: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    let result: T | undefined;
    try {
      result = await read();
      const folder = await stat(this.#path);
      if (!folder.isDirectory()) throw new Error('Not a folder');
      signal?.throwIfAborted();
      return result;
    } catch (error) {
      if (result instanceof BlobFile) await result[Symbol.asyncDispose]();
      signal?.throwIfAborted();
      throw new StoreUnavailableError(`The image layout at ${this.#path} cannot be read`, {
        cause: error,
      });
    }
  }
}
