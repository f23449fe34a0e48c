import { open, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import type { ByteRange } from '../oci/byte-range.ts';
import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';
import { unlessMissing } from '../errors/system-error.ts';
import { destroyOnAbort } from '../streams/destroy-on-abort.ts';
import type { OpenBlob, StoredBlob } from './content-store.ts';
import { closeStream, FileRange } from './file-range.ts';
import { fileState, type BlobOnDisk } from './file-state.ts';
import { RangeOnce } from './range-once.ts';

/** The path of a blob below `root`, which is an OCI image layout or containerd's content folder. */
export function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs', digestAlgorithm(digest), digestHex(digest));
}

/** Length of the blob's file in bytes, or `undefined` when there is no such file. */
export async function blobFileSize(root: string, digest: Digest): Promise<number | undefined> {
  const found = await unlessMissing(stat(blobPath(root, digest)));
  return found?.isFile() === true ? found.size : undefined;
}

/** A blob that is read from an open file. It stays readable after the file is unlinked. */
export class BlobFile implements OpenBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly file: BlobOnDisk;
  readonly #handle: FileHandle;
  readonly #once: RangeOnce;
  #stream: Readable | undefined;

  private constructor(handle: FileHandle, blob: StoredBlob, file: BlobOnDisk) {
    this.#handle = handle;
    this.file = file;
    this.digest = blob.digest;
    this.size = blob.size;
    this.#once = new RangeOnce(blob.size);
  }

  /** Opens the blob's file below `root`; `undefined` when there is no such file. */
  static async open(root: string, digest: Digest): Promise<BlobFile | undefined> {
    const path = blobPath(root, digest);
    const handle = await unlessMissing(open(path, 'r'));
    if (handle === undefined) return undefined;
    try {
      // Of the open file and not of the path, which may lead to another file by now.
      const found = await handle.stat({ bigint: true });
      if (found.isFile()) {
        const blob = { digest, size: Number(found.size) };
        return new BlobFile(handle, blob, { path, state: fileState(found) });
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return undefined;
  }

  get fd(): number {
    return this.#handle.fd;
  }

  stream(range: ByteRange, signal?: AbortSignal): Readable {
    this.#once.take(range);
    const stream = new FileRange(this.#handle, range);
    this.#stream = stream;
    if (signal !== undefined) destroyOnAbort(stream, signal);
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stream !== undefined) await closeStream(this.#stream);
    await this.#handle.close();
  }
}
