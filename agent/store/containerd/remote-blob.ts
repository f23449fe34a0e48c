import { Readable } from 'node:stream';

import { rangeLength, type ByteRange } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { destroyOnAbort } from '../../streams/destroy-on-abort.ts';
import type { OpenBlob, StoredBlob } from '../content-store.ts';
import { RangeOnce } from '../range-once.ts';
import type { ContainerdClient } from './client.ts';

/** Bytes that wait for a slow reader before containerd is told to pause. */
const HIGH_WATER_MARK = 1024 * 1024;

/**
 * A blob whose bytes come through `Content.Read`. containerd opens the file when the first of them is asked for:
 * a blob that is deleted between opening it here and reading is gone.
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
 * One `Content.Read` call. `Readable.from` would not do: destroying it waits for the message that the call is
 * waiting for, however long that takes, before anything else is told.
 */
class RemoteRange extends Readable {
  readonly #pieces: AsyncGenerator<Buffer, void, undefined>;
  readonly #cancel = new AbortController();
  #left: number;

  constructor(client: ContainerdClient, digest: Digest, range: ByteRange) {
    super({ highWaterMark: HIGH_WATER_MARK });
    this.#left = rangeLength(range);
    this.#pieces = client.read(digest, range, this.#cancel.signal);
  }

  override _read(): void {
    // Asked for no bytes, containerd would send all there are.
    if (this.#left === 0) this.push(null);
    else void this.#next();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#cancel.abort();
    done(error);
  }

  async #next(): Promise<void> {
    try {
      const piece = await this.#pieces.next();
      if (this.destroyed) return;
      if (piece.done === true) throw new Error(`containerd ended ${this.#left} bytes too early`);
      this.#left -= piece.value.length;
      if (this.#left < 0) throw new Error('containerd sent more than was asked for');
      // An empty message must not be pushed: a stream takes that for nothing and asks no further.
      if (piece.value.length === 0) await this.#next();
      else this.push(piece.value);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error('Reading failed', { cause: error }));
    }
  }
}
