import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import { BlobFile, blobFileSize } from '../blob-file.ts';
import { isMissing } from '../../errors/system-error.ts';

/** A result from the folder; `unreadable` when the folder cannot be read, so that containerd has to be asked. */
export type OnDisk<T> = T | 'missing' | 'unreadable';

/** Milliseconds for which a check that the folder can be read is valid. */
const CHECK_VALIDITY_MS = 5_000;

/** containerd's content folder, which has the blobs of all namespaces, if this process can read it. */
export class ContentFolder {
  readonly #path: string;
  readonly #logger: Logger;
  #readable: boolean | undefined;
  /** Why the folder cannot be read, until that is logged. */
  #unlogged: unknown;
  #hasWarned = false;
  #checkedAt = -Infinity;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** Length of the blob's file in bytes. */
  async size(digest: Digest): Promise<OnDisk<number>> {
    return await this.#ask(() => blobFileSize(this.#path, digest));
  }

  /** Opens the blob's file. The caller disposes of it. */
  async open(digest: Digest): Promise<OnDisk<BlobFile>> {
    return await this.#ask(() => BlobFile.open(this.#path, digest));
  }

  /**
   * To be called when bytes come through containerd although they should be in the folder. A folder that is missing is
   * no reason to warn before: containerd makes it with its first blob.
   */
  noteBypass(): void {
    if (this.#unlogged === undefined) return;
    this.#warn(this.#unlogged);
  }

  async #ask<T>(read: () => Promise<T | undefined>): Promise<OnDisk<T>> {
    if (!(await this.#isReadable(CHECK_VALIDITY_MS))) return 'unreadable';
    try {
      const found = await read();
      if (found !== undefined) return found;
    } catch (error) {
      this.#note(false, error);
      return 'unreadable';
    }
    // The blob may be missing, or the whole folder: only a new check tells them apart.
    return (await this.#isReadable(0)) ? 'missing' : 'unreadable';
  }

  async #isReadable(validity: number): Promise<boolean> {
    const now = performance.now();
    if (this.#readable !== undefined && now - this.#checkedAt < validity) return this.#readable;
    try {
      await access(join(this.#path, 'blobs'), constants.R_OK | constants.X_OK);
      return this.#note(true);
    } catch (error) {
      return this.#note(false, error);
    }
  }

  #note(readable: boolean, error?: unknown): boolean {
    if (!readable && this.#readable !== false) {
      if (isMissing(error)) this.#unlogged = error;
      else this.#warn(error);
    } else if (readable) {
      this.#unlogged = undefined;
      if (this.#hasWarned) this.#logger.info({ path: this.#path }, 'content folder readable again');
      this.#hasWarned = false;
    }
    this.#readable = readable;
    // containerd creates the folder with its first blob, so a missing folder is checked again each time.
    this.#checkedAt = isMissing(error) ? -Infinity : performance.now();
    return readable;
  }

  #warn(err: unknown): void {
    this.#unlogged = undefined;
    this.#hasWarned = true;
    this.#logger.warn(
      { err, path: this.#path },
      'content folder not readable, bytes come through gRPC',
    );
  }
}
