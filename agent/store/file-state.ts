import type { BigIntStats } from 'node:fs';

/**
 * What tells whether a file is still as it was: nobody can write to a file, truncate or replace it without one of
 * these changing, not even who sets its modification time back.
 */
export interface FileState {
  readonly ino: bigint;
  /** Bytes. */
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** The file that a blob is read from, as it was when it was opened. */
export interface BlobOnDisk {
  readonly path: string;
  readonly state: FileState;
}

/** The state alone, without all else that the system tells of a file. */
export function fileState({ ino, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  return { ino, size, mtimeNs, ctimeNs };
}
