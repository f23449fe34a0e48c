import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

import { fileState, type FileState } from '../store/file-state.ts';
import { pause } from '../timing/pause.ts';

/** Bytes of one read. Hashing them holds the event loop for a third of a millisecond. */
const CHUNK = 512 * 1024;

/** The hash of a file, with the file's state before and after reading. */
export interface HashedFile {
  /** Lower-case hex. */
  readonly hex: string;
  readonly before: FileState;
  readonly after: FileState;
}

/**
 * Hashes a file in small steps.
 *
 * @param rate bytes a second to read at most; `Infinity` for no limit
 * @throws Error of the file system; the signal's reason
 */
export async function hashFile(
  path: string,
  algorithm: string,
  rate: number,
  signal: AbortSignal,
): Promise<HashedFile> {
  const file = await open(path, 'r');
  try {
    const before = fileState(await file.stat({ bigint: true }));
    const hash = createHash(algorithm);
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, Number(before.size) + 1));
    const started = performance.now();
    let done = 0;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, done);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      done += bytesRead;
      const early = started + (done / rate) * 1_000 - performance.now();
      if (early > 1) await pause(early, signal);
    }
    const after = fileState(await file.stat({ bigint: true }));
    return { hex: hash.digest('hex'), before, after };
  } finally {
    await file.close();
  }
}
