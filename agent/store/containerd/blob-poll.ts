import type { Logger } from 'pino';

import { parseDigest, type Digest } from '../../oci/digest.ts';
import { pause } from '../../timing/pause.ts';
import type { Announcements } from './announcements.ts';
import type { ContainerdClient } from './client.ts';

export interface BlobPollInit {
  readonly client: ContainerdClient;
  readonly announcements: Announcements;
  /** Has all consumers list everything again. */
  readonly relist: () => void;
  readonly logger: Logger;
  /** Milliseconds until the next listing; `undefined` while polling is not needed. */
  readonly interval: () => number | undefined;
  /** Milliseconds between two checks whether polling is needed. */
  readonly idle: number;
}

/** A pause is at least this many times as long as the listing before it took. */
const PAUSE_FACTOR = 20;

/** Lists all blobs at intervals and announces the differences. For when neither events nor a folder watch do. */
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
      const wait = interval();
      let took = 0;
      if (wait === undefined) {
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
      await pause(Math.max(wait ?? idle, took * PAUSE_FACTOR), signal);
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
      // A consumer that listed everything before this may have missed some of these blobs.
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
