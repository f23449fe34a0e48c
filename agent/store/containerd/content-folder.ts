import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import { BlobFile, blobFileSize } from '../blob-file.ts';
import { isMissing } from '../../errors/system-error.ts';

/** What the folder says of a blob; `unreadable` when it says nothing and containerd has to be asked. */
export type OnDisk<T> = T | 'missing' | 'unreadable';

/** Milliseconds that a look at the folder counts for. */
const VERDICT = 5_000;

/** containerd's content folder, where the blobs of all namespaces lie, if it can be read from here. */
export class ContentFolder {
  readonly #path: string;
  readonly #logger: Logger;
  #readable: boolean | undefined;
  #looked = -Infinity;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** Length of the blob's file in bytes. */
  async size(digest: Digest): Promise<OnDisk<number>> {
    return await this.#ask(() => blobFileSize(this.#path, digest));
  }

  /** The blob's file, opened; whoever asked has to dispose of it. */
  async open(digest: Digest): Promise<OnDisk<BlobFile>> {
    return await this.#ask(() => BlobFile.open(this.#path, digest));
  }

  async #ask<T>(read: () => Promise<T | undefined>): Promise<OnDisk<T>> {
    if (!(await this.#isReadable(VERDICT))) return 'unreadable';
    try {
      const found = await read();
      if (found !== undefined) return found;
    } catch (error) {
      this.#settle(false, error);
      return 'unreadable';
    }
    // Is the blob missing, or is the folder gone with everything in it? Only a new look tells.
    return (await this.#isReadable(0)) ? 'missing' : 'unreadable';
  }

  async #isReadable(validity: number): Promise<boolean> {
    const now = performance.now();
    if (this.#readable !== undefined && now - this.#looked < validity) return this.#readable;
    try {
      await access(join(this.#path, 'blobs'), constants.R_OK | constants.X_OK);
      return this.#settle(true);
    } catch (error) {
      return this.#settle(false, error);
    }
  }

  #settle(readable: boolean, error?: unknown): boolean {
    const path = this.#path;
    if (!readable && this.#readable !== false) {
      this.#logger.warn(
        { err: error, path },
        'content folder not readable, bytes come through gRPC',
      );
    } else if (readable && this.#readable === false) {
      this.#logger.info({ path }, 'content folder readable again');
    }
    this.#readable = readable;
    // containerd makes the folder for its first blob: what is not there may be there the next moment.
    this.#looked = isMissing(error) ? -Infinity : performance.now();
    return readable;
  }
}
