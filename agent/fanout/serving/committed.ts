import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest } from '../../store/ingests.ts';
import { pause } from '../../timing/pause.ts';

/**
 * How long the store may take to know a blob after its file was renamed, in milliseconds. containerd renames it within a
 * transaction of its database, and syncs that to the disk.
 */
const CONFIRM_MS = 1_000;

/** The first time between two looks at the store, and the longest, in milliseconds. */
const LOOK_MS = { first: 4, max: 50 };

/**
 * Waits until a download of which all bytes are there, or that was removed, is committed. No event tells it on every
 * version of containerd, so the store is asked.
 *
 * @returns `false` when it was removed otherwise
 * @throws StoreUnavailableError; the signal's reason when that is aborted
 */
export async function waitForCommit(
  store: Pick<ContentStore, 'stat'>,
  ingest: Pick<Ingest, 'digest' | 'progress'>,
  signal: AbortSignal,
): Promise<boolean> {
  let removedAt: number | undefined;
  for (let wait = LOOK_MS.first; ; wait = Math.min(LOOK_MS.max, wait * 2)) {
    // Before the store is asked: the file is renamed before the store knows the blob.
    const { state, offset, total } = await ingest.progress();
    if ((await store.stat(ingest.digest, signal)) !== undefined) return true;
    if (state === 'removed') {
      if (offset !== total && total !== undefined) return false;
      removedAt ??= performance.now();
      if (performance.now() - removedAt >= CONFIRM_MS) return false;
    }
    await pause(wait, signal);
    signal.throwIfAborted();
  }
}
