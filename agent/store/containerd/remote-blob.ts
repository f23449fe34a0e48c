import { Readable } from 'node:stream';

import { rangeLength, type ByteRange } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { destroyOnAbort } from '../../streams/destroy-on-abort.ts';
import type { OpenBlob, StoredBlob } from '../content-store.ts';
import { RangeOnce } from '../range-once.ts';
import type { ContainerdClient } from './client.ts';

/** Bytes that are buffered for a slow reader before reading from containerd pauses. */
const HIGH_WATER_MARK = 1024 * 1024;

/**
 * A blob whose bytes come through `Content.Read`. containerd opens the file at the first read, so a blob that is
 * deleted before that cannot be read any more.
 */
export class RemoteBlob implements OpenBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly #client: ContainerdClient;
  readonly #once: RangeOnce;
  #stream: RemoteRange | undefined;

  constructor(client: ContainerdClient, blob: StoredBlob) {
    this.#client = client;
    this.digest = blob.digest;
    this.size = blob.size;
    this.#once = new RangeOnce(blob.size);
  }

  stream(range: ByteRange, signal?: AbortSignal): Readable {
    this.#once.take(range);
    this.#stream = new RemoteRange(this.#client, this.digest, range);
    if (signal !== undefined) destroyOnAbort(this.#stream, signal);
    return this.#stream;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stream?.destroy();
    return Promise.resolve();
  }
}

/**
 * One `Content.Read` call. Not `Readable.from`, whose destruction waits for the next message of the call, however
 * long that takes.
 */
class RemoteRange extends Readable {
  readonly #chunks: AsyncGenerator<Buffer, void, undefined>;
  readonly #cancel = new AbortController();
  #left: number;

  constructor(client: ContainerdClient, digest: Digest, range: ByteRange) {
    super({ highWaterMark: HIGH_WATER_MARK });
    this.#left = rangeLength(range);
    this.#chunks = client.read(digest, range, this.#cancel.signal);
  }

  override _read(): void {
    // To a read of 0 bytes containerd would send the whole blob.
    if (this.#left === 0) this.push(null);
    else void this.#next();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#cancel.abort();
    done(error);
  }

  async #next(): Promise<void> {
    try {
      const chunk = await this.#chunks.next();
      if (this.destroyed) return;
      if (chunk.done === true) throw new Error(`containerd ended ${this.#left} bytes too early`);
      this.#left -= chunk.value.length;
      if (this.#left < 0) throw new Error('containerd sent more bytes than requested');
      // An empty chunk must not be pushed: the stream would not read on.
      if (chunk.value.length === 0) await this.#next();
      else this.push(chunk.value);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error('Reading failed', { cause: error }));
    }
  }
}
