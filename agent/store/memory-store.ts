import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

import type { ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseDigest, type Digest } from '../oci/digest.ts';
import { destroyOnAbort } from '../streams/destroy-on-abort.ts';
import { ChangeHub } from './change-hub.ts';
import {
  StoreUnavailableError,
  type ContentStore,
  type OpenBlob,
  type StoreChange,
  type StoredBlob,
  type StoredImage,
} from './content-store.ts';
import type { Ingests } from './ingests.ts';
import { RangeOnce } from './range-once.ts';

/** Bytes of a chunk of a stream. */
const CHUNK = 64 * 1024;
/** Blobs in a batch of `blobs()`. */
const BATCH = 100;

/** A store for tests, which can be made unavailable. */
export class MemoryStore implements ContentStore {
  readonly ingests?: Ingests;
  readonly provenance = undefined;
  readonly #images = new Map<string, StoredImage>();
  readonly #blobs = new Map<Digest, Buffer>();
  readonly #hub: ChangeHub;
  #available = true;

  /** @param ingests unfinished downloads, such as `MemoryIngests`; none by default */
  constructor(ingests?: Ingests) {
    if (ingests !== undefined) this.ingests = ingests;
    this.#hub = new ChangeHub({
      produce: async (signal) => {
        if (this.#available) this.#hub.reached();
        const ended = Promise.withResolvers<undefined>();
        signal.addEventListener('abort', () => {
          ended.resolve(undefined);
        });
        if (!signal.aborted) await ended.promise;
      },
    });
  }

  /** Whether the store can be reached; set it to `false` for an outage. */
  get available(): boolean {
    return this.#available;
  }

  set available(available: boolean) {
    if (available === this.#available) return;
    this.#available = available;
    if (available) this.#hub.reached();
    else this.#hub.lost();
  }

  /** Creates or updates the image record. */
  setImage(name: string, target: Descriptor): void {
    this.#images.set(name, { name, target });
    this.#publish({ kind: 'image-set', name });
  }

  deleteImage(name: string): void {
    if (this.#images.delete(name)) this.#publish({ kind: 'image-deleted', name });
  }

  /** Adds the bytes as a blob, under their sha256 by default. */
  putBlob(bytes: Uint8Array, digest: Digest = sha256(bytes)): Digest {
    this.#blobs.set(digest, Buffer.from(bytes));
    this.#publish({ kind: 'blob-added', digest });
    return digest;
  }

  deleteBlob(digest: Digest): void {
    if (this.#blobs.delete(digest)) this.#publish({ kind: 'blob-deleted', digest });
  }

  async images(signal?: AbortSignal): Promise<StoredImage[]> {
    await this.#reach(signal);
    return [...this.#images.values()];
  }

  async image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined> {
    await this.#reach(signal);
    return this.#images.get(name);
  }

  async *blobs(signal?: AbortSignal): AsyncGenerator<readonly StoredBlob[], void, undefined> {
    await this.#reach(signal);
    const all = [...this.#blobs].map(([digest, bytes]) => ({ digest, size: bytes.length }));
    for (let first = 0; first < all.length; first += BATCH) {
      yield all.slice(first, first + BATCH);
      signal?.throwIfAborted();
    }
  }

  async stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    await this.#reach(signal);
    const bytes = this.#blobs.get(digest);
    return bytes && { digest, size: bytes.length };
  }

  async open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined> {
    await this.#reach(signal);
    const bytes = this.#blobs.get(digest);
    return bytes && new MemoryBlob(digest, bytes);
  }

  changes(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    return this.#hub.follow(signal);
  }

  #publish(change: StoreChange): void {
    if (this.#available) this.#hub.publish(change);
  }

  // Rejects rather than throws, as every other store does.
  // eslint-disable-next-line @typescript-eslint/require-await
  async #reach(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#available) throw new StoreUnavailableError('The memory store was switched off');
  }
}

class MemoryBlob implements OpenBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly #bytes: Buffer;
  readonly #once: RangeOnce;

  constructor(digest: Digest, bytes: Buffer) {
    this.digest = digest;
    this.size = bytes.length;
    this.#bytes = bytes;
    this.#once = new RangeOnce(bytes.length);
  }

  stream(range: ByteRange, signal?: AbortSignal): Readable {
    this.#once.take(range);
    const stream = Readable.from(slices(this.#bytes.subarray(range.start, range.end + 1)), {
      objectMode: false,
      highWaterMark: CHUNK,
    });
    if (signal !== undefined) destroyOnAbort(stream, signal);
    return stream;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function* slices(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let first = 0; first < bytes.length; first += CHUNK) {
    yield bytes.subarray(first, first + CHUNK);
  }
}

function sha256(bytes: Uint8Array): Digest {
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  if (digest === undefined) throw new Error('A sha256 is a digest');
  return digest;
}
