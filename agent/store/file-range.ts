import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';

import { rangeLength, type ByteRange } from '../oci/byte-range.ts';

/**
 * Bytes of one read. Smaller reads cost throughput. Larger ones cost memory per connection, and they are wasted when
 * containerd fetches a layer in ranges that it closes early.
 */
const CHUNK = 512 * 1024;

/**
 * Streams a range of an open file. The stream ends after exactly that many bytes, or fails: Node's own file stream
 * would end without an error where the file ends too early.
 *
 * The caller closes the file, after the stream has closed.
 */
export class FileRange extends Readable {
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
    // The file must not be closed during a read: its descriptor could belong to another file by then.
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

/** Destroys the stream and resolves once it has closed. */
export async function closeStream(stream: Readable): Promise<void> {
  if (stream.closed) return;
  const closed = Promise.withResolvers<undefined>();
  stream.once('close', () => {
    closed.resolve(undefined);
  });
  stream.destroy();
  await closed.promise;
}
