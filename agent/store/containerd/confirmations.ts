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
  /** Asks for everything to be listed. */
  readonly relist: () => void;
  readonly logger: Logger;
  /** Ends whatever is under way. */
  readonly signal: AbortSignal;
}

/**
 * Milliseconds to wait before each time that containerd is asked for a new file. It renames the file into place
 * within the transaction that records the blob, and other namespaces' files appear in the same folder: a blob
 * that is still not ours after the last attempt belongs to one of those.
 */
const ATTEMPTS = [5, 10, 20, 50, 100, 250, 500, 1_000];

/** Most files that are looked into at a time; when more change at once, everything is listed instead. */
const MAX_PENDING = 1_024;

/** Finds out what it means that a file appeared in, or went from, the folder that all namespaces share. */
export class Confirmations {
  readonly #init: ConfirmationsInit;
  readonly #pending = new Map<Digest, Promise<void>>();

  constructor(init: ConfirmationsInit) {
    this.#init = init;
  }

  /** Something happened to the blob's file. */
  look(digest: Digest): void {
    const { relist, logger, signal } = this.#init;
    if (signal.aborted) return;
    if (this.#pending.size >= MAX_PENDING) {
      relist();
      return;
    }
    const before = this.#pending.get(digest);
    const looking = this.#examine(digest, before)
      .catch((error: unknown) => {
        if (signal.aborted) return;
        logger.debug({ err: error, digest }, 'new file cannot be confirmed');
        relist();
      })
      .then(() => {
        if (this.#pending.get(digest) === looking) this.#pending.delete(digest);
      });
    this.#pending.set(digest, looking);
  }

  /** Resolves when nothing is under way any more. */
  async ended(): Promise<void> {
    await Promise.all(this.#pending.values());
  }

  async #examine(digest: Digest, before: Promise<void> | undefined): Promise<void> {
    const { contentPath, announcements, client, signal } = this.#init;
    // A file that comes and goes at once is looked at twice, in that order.
    await before;
    for (const milliseconds of ATTEMPTS) {
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
