import type { Logger } from 'pino';

import { parseDigest, type Digest } from '../../oci/digest.ts';
import { pause } from '../../timing/pause.ts';
import type { Announcements } from './announcements.ts';
import type { ContainerdClient } from './client.ts';

export interface BlobPollInit {
  readonly client: ContainerdClient;
  readonly announcements: Announcements;
  /** Asks for everything to be listed. */
  readonly relist: () => void;
  readonly logger: Logger;
  /** Milliseconds until the next listing; `undefined` while there is no need to poll. */
  readonly interval: () => number | undefined;
  /** Milliseconds between two looks whether polling has become necessary. */
  readonly idle: number;
}

/** Listing may take up one part in so many of the time, however many blobs there are. */
const SHARE = 20;

/** Lists all blobs again and again and tells the differences: the last resort, when nobody else tells them. */
export class BlobPoll {
  readonly #init: BlobPollInit;
  #before: Map<Digest, number> | undefined;

  constructor(init: BlobPollInit) {
    this.#init = init;
  }

  /** Runs until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { interval, idle, logger } = this.#init;
    while (!signal.aborted) {
      const wanted = interval();
      let took = 0;
      if (wanted === undefined) {
        this.#before = undefined;
      } else {
        const started = performance.now();
        try {
          await this.#poll(signal);
        } catch (error) {
          if (error !== signal.reason) logger.debug({ err: error }, 'blobs cannot be listed');
        }
        took = performance.now() - started;
      }
      await pause(Math.max(wanted ?? idle, took * SHARE), signal);
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { client, announcements, relist } = this.#init;
    const now = new Map<Digest, number>();
    for await (const infos of client.list(signal)) {
      for (const { digest: text, size } of infos) {
        const digest = parseDigest(text);
        if (digest !== undefined) now.set(digest, size);
      }
    }
    const before = this.#before;
    this.#before = now;
    if (before === undefined) {
      // Whoever listed everything before this may have missed what this listing has found.
      relist();
      return;
    }
    for (const [digest, size] of now) {
      if (!before.has(digest)) announcements.added(digest, size);
    }
    for (const digest of before.keys()) {
      if (!now.has(digest)) announcements.deleted(digest);
    }
  }
}
