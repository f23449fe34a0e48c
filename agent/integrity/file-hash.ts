import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

import { fileState, type FileState } from '../store/file-state.ts';
import { pause } from '../timing/pause.ts';

/** Bytes of one read: a third of a millisecond of hashing, so that nothing else waits for it. */
const CHUNK = 512 * 1024;

/** The hash of a file, and whether it was one and the same file all the while. */
export interface HashedFile {
  /** Lower-case hex. */
  readonly hex: string;
  readonly before: FileState;
  readonly after: FileState;
}

/**
 * Hashes a file in small steps.
 *
 * @param rate bytes a second that are read at most; `Infinity` for as fast as it goes
 * @throws what the system says, and the signal's reason
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
