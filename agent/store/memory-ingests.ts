import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

import type { ByteRange } from '../oci/byte-range.ts';
import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';
import { destroyOnAbort } from '../streams/destroy-on-abort.ts';
import { raceSignal } from '../timing/race-signal.ts';
import type { Ingest, IngestProgress, Ingests, IngestState } from './ingests.ts';
import { checkRange } from './range-once.ts';

/** Unfinished downloads in memory, for tests. */
export class MemoryIngests implements Ingests {
  readonly #downloads = new Map<Digest, MemoryDownload>();

  /** Begins a download; replaces one of the same digest. */
  begin(digest: Digest, total?: number): MemoryDownload {
    this.#downloads.get(digest)?.end();
    const download = new MemoryDownload(digest, total, () => {
      if (this.#downloads.get(digest) === download) this.#downloads.delete(digest);
    });
    this.#downloads.set(digest, download);
    return download;
  }

  has(digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#downloads.has(digest));
  }

  open(digest: Digest): Promise<Ingest | undefined> {
    const download = this.#downloads.get(digest);
    return Promise.resolve(download && new MemoryIngest(download));
  }
}

/** The writer's side of a download. */
export class MemoryDownload {
  readonly digest: Digest;
  readonly total: number | undefined;
  readonly #onEnd: () => void;
  #bytes = Buffer.alloc(0);
  #removed = false;
  #change = Promise.withResolvers<undefined>();

  constructor(digest: Digest, total: number | undefined, onEnd: () => void) {
    this.digest = digest;
    this.total = total;
    this.#onEnd = onEnd;
  }

  /** The bytes so far. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get state(): IngestState {
    if (this.#removed) return 'removed';
    return this.#bytes.length === this.total ? 'whole' : 'arriving';
  }

  /** Resolves at the next change. */
  get change(): Promise<undefined> {
    return this.#change.promise;
  }

  write(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#wake();
  }

  /** Removes all bytes, as a client does that restarts from the first byte. */
  restart(): void {
    this.#bytes = Buffer.alloc(0);
    this.#wake();
  }

  /** Removes the download, which was committed or aborted. */
  end(): void {
    this.#removed = true;
    this.#onEnd();
    this.#wake();
  }

  #wake(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers();
  }
}

class MemoryIngest implements Ingest {
  readonly #download: MemoryDownload;
  readonly #closed = new AbortController();
  #wrong: Buffer | undefined;

  constructor(download: MemoryDownload) {
    this.#download = download;
  }

  get digest(): Digest {
    return this.#download.digest;
  }

  get total(): number | undefined {
    return this.#download.total;
  }

  state(): Promise<IngestState> {
    return Promise.resolve(this.#download.state);
  }

  progress(): Promise<IngestProgress> {
    const { bytes, total, state } = this.#download;
    return Promise.resolve({ offset: bytes.length, total, state });
  }

  async waitForMore(offset: number, signal: AbortSignal): Promise<IngestProgress> {
    const either = AbortSignal.any([signal, this.#closed.signal]);
    for (;;) {
      either.throwIfAborted();
      const { change } = this.#download;
      const progress = await this.progress();
      if (progress.offset > offset || progress.state !== 'arriving') return progress;
      await raceSignal(change, either);
    }
  }

  read(range: ByteRange, signal?: AbortSignal): Readable {
    this.#closed.signal.throwIfAborted();
    checkRange(range, this.total ?? Number.MAX_SAFE_INTEGER);
    const { bytes } = this.#download;
    const stream = new Readable({
      read() {
        if (range.end < bytes.length) {
          if (range.end >= range.start) this.push(bytes.subarray(range.start, range.end + 1));
          this.push(null);
        } else this.destroy(new Error(`Only ${bytes.length} bytes have arrived`));
      },
    });
    destroyOnAbort(stream, this.#closed.signal);
    if (signal !== undefined) destroyOnAbort(stream, signal);
    return stream;
  }

  verify(signal: AbortSignal): Promise<boolean | undefined> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const { bytes, digest, total } = this.#download;
    if (bytes.length !== total) return Promise.resolve(undefined);
    const right =
      createHash(digestAlgorithm(digest)).update(bytes).digest('hex') === digestHex(digest);
    if (!right) this.#wrong = bytes;
    return Promise.resolve(right);
  }

  abort(): Promise<boolean> {
    const { bytes, state } = this.#download;
    if (this.#wrong !== bytes || state === 'removed') return Promise.resolve(false);
    this.#download.end();
    return Promise.resolve(true);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('The ingest was closed'));
    return Promise.resolve();
  }
}
