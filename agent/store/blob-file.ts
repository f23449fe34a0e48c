import { open, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';
import { RangeOnce } from './range-once.ts';
import type { OpenBlob, StoredBlob } from './content-store.ts';
import { unlessMissing } from '../errors/system-error.ts';
import { fileState, type BlobOnDisk } from './file-state.ts';

/**
 * Bytes that one read asks for. Smaller reads cost throughput, larger ones memory per connection and, where
 * containerd fetches a layer in ranges that it closes early, bytes that were read and sent for nothing.
 */
const CHUNK = 512 * 1024;

/** Where a blob lies below `root`, in an OCI image layout and in containerd's content folder alike. */
export function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs', digestAlgorithm(digest), digestHex(digest));
}

/** Length of the blob's file in bytes, or `undefined` when there is no such file. */
export async function blobFileSize(root: string, digest: Digest): Promise<number | undefined> {
  const found = await unlessMissing(stat(blobPath(root, digest)));
  return found?.isFile() === true ? found.size : undefined;
}

/** A blob that is read from an open file, and so stays readable when the file is unlinked. */
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
      // Of the open file, not of the path: it tells of the very bytes that are going to be read.
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
    const stream = this.#stream;
    if (stream !== undefined && !stream.closed) {
      const closed = Promise.withResolvers<undefined>();
      stream.once('close', () => {
        closed.resolve(undefined);
      });
      stream.destroy();
      await closed.promise;
    }
    await this.#handle.close();
  }
}

/** Destroys the stream with the signal's reason when that is aborted, and lets go of the signal when it closes. */
export function destroyOnAbort(stream: Readable, signal: AbortSignal): void {
  const abort = () => {
    const reason: unknown = signal.reason;
    stream.destroy(reason instanceof Error ? reason : new Error('Aborted', { cause: reason }));
  };
  if (signal.aborted) {
    abort();
    return;
  }
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => {
    signal.removeEventListener('abort', abort);
  });
}

/** Reads an interval of a file. Node's own file stream would end quietly where the file ends too early. */
class FileRange extends Readable {
  readonly #handle: FileHandle;
  #position: number;
  #left: number;
  #reading: Promise<void> | undefined;

  constructor(handle: FileHandle, range: ByteRange) {
    super({ highWaterMark: CHUNK });
    this.#handle = handle;
    this.#position = range.start;
    this.#left = rangeLength(range);
  }

  override _read(): void {
    if (this.#left === 0) this.push(null);
    else this.#reading = this.#readChunk();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // The file must not be closed under a read: its number could belong to another file by then.
    void (this.#reading ?? Promise.resolve()).then(() => {
      done(error);
    });
  }

  async #readChunk(): Promise<void> {
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, this.#left));
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) throw new Error(`The blob's file ends ${this.#left} bytes too early`);
      this.#position += bytesRead;
      this.#left -= bytesRead;
      this.#reading = undefined;
      if (this.destroyed) return;
      this.push(bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead));
      if (this.#left === 0) this.push(null);
    } catch (error) {
      this.#reading = undefined;
      this.destroy(error instanceof Error ? error : new Error('Reading failed', { cause: error }));
    }
  }
}
