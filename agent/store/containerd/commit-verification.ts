import type { FileState } from '../file-state.ts';

/**
 * Milliseconds from containerd's last change of a blob's file to the time that it records for the commit. Up to 20 ms
 * were measured on a busy machine.
 */
const MAX_COMMIT_MS = 1_000;

/** Milliseconds. The recorded time is cut to milliseconds here, and the clock of a file system ticks in steps. */
const RESOLUTION_MS = 10;

/**
 * Whether the file is unchanged since containerd verified and committed the blob. At a commit containerd renames the
 * file into place, sets its modification time, removes the permission to write, and records the time of the commit.
 *
 * Times after the commit mean that the file was changed later. Times long before it mean that the commit verified
 * nothing: containerd takes over an existing file as it is, when another namespace holds the content, or when its
 * record was removed and the file was not.
 *
 * @param committedAt in milliseconds since 1970
 */
export function isAsCommitted({ mtimeNs, ctimeNs }: FileState, committedAt: number): boolean {
  return [mtimeNs, ctimeNs].every((nanoseconds) => {
    const before = committedAt - Number(nanoseconds) / 1e6;
    return before >= -RESOLUTION_MS && before <= MAX_COMMIT_MS;
  });
}
