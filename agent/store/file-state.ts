import type { BigIntStats } from 'node:fs';

/**
 * The state of a file. Writing to the file, truncating it and replacing it change at least one of these fields, also
 * when its modification time is set back afterwards.
 */
export interface FileState {
  readonly ino: bigint;
  /** Bytes. */
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** The file that a blob is read from, with its state when it was opened. */
export interface BlobOnDisk {
  readonly path: string;
  readonly state: FileState;
}

/** Picks the state from the result of `stat`. */
export function fileState({ ino, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  return { ino, size, mtimeNs, ctimeNs };
}
