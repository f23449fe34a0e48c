import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import { pause } from '../../timing/pause.ts';
import { blobFileSize } from '../blob-file.ts';
import type { Announcements } from './announcements.ts';
import type { ContainerdClient } from './client.ts';

export interface ConfirmationsInit {
  readonly client: ContainerdClient;
  readonly contentPath: string;
  readonly announcements: Announcements;
  /** Has all consumers list everything again. */
  readonly relist: () => void;
  readonly logger: Logger;
  /** Ends the calls under way. */
  readonly signal: AbortSignal;
}

/**
 * Milliseconds to wait before each call of `Info` for a new file. containerd renames the file into place before its
 * transaction records the blob. A blob that is not recorded after the last attempt belongs to another namespace.
 */
const ATTEMPTS_MS = [5, 10, 20, 50, 100, 250, 500, 1_000];

/** Files that are examined at the same time. When more change at once, everything is listed instead. */
const MAX_PENDING = 1_024;

/** Finds out whether a file that appeared or disappeared is a blob of our namespace. All namespaces share a folder. */
export class Confirmations {
  readonly #init: ConfirmationsInit;
  readonly #pending = new Map<Digest, Promise<void>>();

  constructor(init: ConfirmationsInit) {
    this.#init = init;
  }

  /** Examines a blob whose file has changed. */
  examine(digest: Digest): void {
    const { relist, logger, signal } = this.#init;
    if (signal.aborted) return;
    if (this.#pending.size >= MAX_PENDING) {
      relist();
      return;
    }
    const before = this.#pending.get(digest);
    const examining = this.#examine(digest, before)
      .catch((error: unknown) => {
        if (signal.aborted) return;
        logger.debug({ err: error, digest }, 'new file cannot be confirmed');
        relist();
      })
      .then(() => {
        if (this.#pending.get(digest) === examining) this.#pending.delete(digest);
      });
    this.#pending.set(digest, examining);
  }

  /** Resolves when no examination is under way. */
  async ended(): Promise<void> {
    await Promise.all(this.#pending.values());
  }

  async #examine(digest: Digest, before: Promise<void> | undefined): Promise<void> {
    const { contentPath, announcements, client, signal } = this.#init;
    // One at a time for each file, so that its changes are announced in their order.
    await before;
    for (const milliseconds of ATTEMPTS_MS) {
      if ((await blobFileSize(contentPath, digest)) === undefined) {
        announcements.deleted(digest);
        return;
      }
      if (announcements.has(digest)) return;
      await pause(milliseconds, signal);
      if (signal.aborted || announcements.has(digest)) return;
      const info = await client.info(digest, signal);
      if (info !== undefined) {
        announcements.added(digest, info.size);
        return;
      }
    }
  }
}
