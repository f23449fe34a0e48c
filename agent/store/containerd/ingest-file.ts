import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { stat, type FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import { unlessMissing } from '../../errors/system-error.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import { digestAlgorithm, digestHex, type Digest } from '../../oci/digest.ts';
import { destroyOnAbort } from '../../streams/destroy-on-abort.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { closeStream, FileRange } from '../file-range.ts';
import type { Ingest, IngestProgress, IngestState } from '../ingests.ts';
import { checkRange } from '../range-once.ts';
import type { FileWatch, FileWatches } from './file-watches.ts';

/** Bytes that are read and hashed at once. Hashing them holds the event loop for a fraction of a millisecond. */
const CHUNK = 256 * 1024;

export interface IngestFileInit {
  readonly digest: Digest;
  /** Bytes of the finished content, if containerd knows it. */
  readonly total: number | undefined;
  readonly path: string;
  /** The file at the path, opened. Closed when the ingest is disposed of. */
  readonly handle: FileHandle;
  readonly watches: FileWatches;
  /** Has containerd remove the download. */
  readonly abort: (signal: AbortSignal) => Promise<void>;
}

/**
 * The file that containerd downloads into. The open file stays readable when containerd renames it at the commit, or
 * removes it.
 */
export class IngestFile implements Ingest {
  readonly digest: Digest;
  readonly total: number | undefined;
  readonly #init: IngestFileInit;
  readonly #closed = new AbortController();
  readonly #streams = new Set<Readable>();
  /** Begins with the first wait. */
  #watch: FileWatch | undefined;
  /** The state of the file when its bytes were found to be wrong. */
  #wrong: Stats | undefined;

  constructor(init: IngestFileInit) {
    this.digest = init.digest;
    this.total = init.total;
    this.#init = init;
  }

  get fd(): number {
    return this.#init.handle.fd;
  }

  async state(): Promise<IngestState> {
    return (await this.progress()).state;
  }

  async progress(): Promise<IngestProgress> {
    const { handle, path } = this.#init;
    const { total } = this;
    const there = await unlessMissing(stat(path));
    // After the path: a file that is renamed meanwhile has its last length by then.
    const here = await handle.stat();
    const offset = here.size;
    if (there?.ino !== here.ino || there.dev !== here.dev)
      return { offset, total, state: 'removed' };
    return { offset, total, state: offset === total ? 'whole' : 'arriving' };
  }

  async waitForMore(offset: number, signal: AbortSignal): Promise<IngestProgress> {
    for (;;) {
      signal.throwIfAborted();
      this.#closed.signal.throwIfAborted();
      this.#watch ??= this.#init.watches.watch(this.#init.path);
      // Before looking, so that no change between the two is missed.
      const change = this.#watch.next();
      const progress = await this.progress().catch((error: unknown) => {
        this.#closed.signal.throwIfAborted();
        throw error;
      });
      if (progress.offset > offset || progress.state !== 'arriving') return progress;
      await raceSignal(change, signal);
    }
  }

  read(range: ByteRange, signal?: AbortSignal): Readable {
    this.#closed.signal.throwIfAborted();
    checkRange(range, this.total ?? Number.MAX_SAFE_INTEGER);
    const stream = new FileRange(this.#init.handle, range);
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    if (signal !== undefined) destroyOnAbort(stream, signal);
    return stream;
  }

  async verify(signal: AbortSignal): Promise<boolean | undefined> {
    const { handle, digest, total } = this.#init;
    const before = await handle.stat();
    if (before.size !== total) return undefined;
    const hash = createHash(digestAlgorithm(digest));
    const buffer = Buffer.allocUnsafeSlow(CHUNK);
    for (let position = 0; position < total;) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, CHUNK, position);
      if (bytesRead === 0) return undefined;
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
    const right = hash.digest('hex') === digestHex(digest);
    // The download restarted meanwhile: the hash is neither of the old nor of the new bytes.
    if (!isUntouched(before, await handle.stat())) return undefined;
    if (!right) this.#wrong = before;
    return right;
  }

  /**
   * containerd (1.6 to 2.1, tested) removes any ingest on request, also one that is being written or about to be
   * committed, and the pull fails then. One of full length with wrong bytes, untouched since, loses nothing by that:
   * its commit has failed or will fail.
   */
  async abort(signal: AbortSignal): Promise<boolean> {
    const wrong = this.#wrong;
    if (wrong === undefined) return false;
    const there = await unlessMissing(stat(this.#init.path));
    if (there === undefined || !isUntouched(wrong, there)) return false;
    await this.#init.abort(signal);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(new Error('The ingest was closed'));
    this.#watch?.[Symbol.dispose]();
    await Promise.all([...this.#streams].map(closeStream));
    await this.#init.handle.close();
  }
}

function isUntouched(before: Stats, now: Stats): boolean {
  return (
    before.ino === now.ino &&
    before.dev === now.dev &&
    before.size === now.size &&
    before.mtimeMs === now.mtimeMs
  );
}
