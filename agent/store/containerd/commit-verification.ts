import type { FileState } from '../file-state.ts';

/**
 * Most milliseconds between containerd's last touch of a blob's file and the time that it records for the commit.
 * Both come right after each other: 20 ms were seen on a busy machine.
 */
const COMMIT_MS = 1_000;

/** The recorded time arrives here without what lies below the millisecond, and clocks of files tick in steps. */
const RESOLUTION_MS = 10;

/**
 * Whether the file is as containerd left it when it had verified and committed the blob. It renames the file
 * into place, sets its modification time, takes away the right to write, and records the time of the commit.
 *
 * Later changes move the file's times beyond the commit. Earlier ones mean that the commit verified nothing:
 * of content that another namespace holds, or whose record was removed and whose file was still there,
 * containerd takes over the file as it is.
 *
 * @param committedAt in milliseconds since 1970
 */
export function isAsCommitted({ mtimeNs, ctimeNs }: FileState, committedAt: number): boolean {
  return [mtimeNs, ctimeNs].every((nanoseconds) => {
    const before = committedAt - Number(nanoseconds) / 1e6;
    return before >= -RESOLUTION_MS && before <= COMMIT_MS;
  });
}
