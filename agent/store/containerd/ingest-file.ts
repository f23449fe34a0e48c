import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { stat, type FileHandle } from 'node:fs/promises';

import { digestAlgorithm, digestHex, type Digest } from '../../oci/digest.ts';
import { unlessMissing } from '../../errors/system-error.ts';
import type { Ingest, IngestState } from '../ingests.ts';

/** Bytes that are read and hashed at once: the event loop is held for a fraction of a millisecond by each. */
const CHUNK = 256 * 1024;

/** What {@link IngestFile} is made of. */
export interface IngestFileInit {
  readonly digest: Digest;
  /** Bytes that it is to have in the end. */
  readonly total: number;
  readonly path: string;
  /** The file at the path, opened; closed with this. */
  readonly handle: FileHandle;
  /** Has containerd give it up. */
  readonly abort: (signal: AbortSignal) => Promise<void>;
}

/** The file that containerd downloads into. It stays readable when containerd moves it away, or removes it. */
export class IngestFile implements Ingest {
  readonly digest: Digest;
  readonly #init: IngestFileInit;
  /** As it was when its bytes were found to be wrong. */
  #wrong: Stats | undefined;

  constructor(init: IngestFileInit) {
    this.digest = init.digest;
    this.#init = init;
  }

  async state(): Promise<IngestState> {
    const { handle, path, total } = this.#init;
    const here = await handle.stat();
    const there = await unlessMissing(stat(path));
    if (there?.ino !== here.ino || there.dev !== here.dev) return 'removed';
    return here.size === total ? 'whole' : 'arriving';
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
    // Begun anew meanwhile: what was read is neither the old nor the new.
    if (!isUntouched(before, await handle.stat())) return undefined;
    if (!right) this.#wrong = before;
    return right;
  }

  /**
   * containerd (1.6 to 2.1, seen) aborts whatever it is asked to, an ingest that is being written or about to be
   * committed too, and the pull fails then. One of full length whose bytes are wrong, and untouched since, has no
   * future: its commit has failed, or is going to.
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
