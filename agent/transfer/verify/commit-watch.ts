import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest } from '../../store/ingests.ts';
import { Backoff } from '../../timing/backoff.ts';
import { isAborted, pause } from '../../timing/pause.ts';

/**
 * What became of a blob that was delivered to its end: committed, so that the client found it right; right or
 * wrong by its hash; lost, when its bytes were gone before they could be looked at; or unknown, when the client
 * gave it up before it had all of it.
 */
export type CommitOutcome = 'committed' | 'right' | 'wrong' | 'lost' | 'unknown';

/** Between two looks at an ingest, in milliseconds. */
const LOOK_MS = 50;

/** How long a file may be gone from the ingests before the store tells of the blob, in milliseconds. */
const TRANSACTION_MS = 500;

/** How long a client may take to commit what is all there before it is hashed, in milliseconds. */
const COMMIT_MS = 500;

/** In addition, as committing waits for the disk: bytes a second. */
const COMMIT_RATE = 200_000_000;

/** How long the client may take to receive what has been delivered, in milliseconds. */
const ARRIVAL_MS = 60_000;

/** Attempts to have a wrong ingest removed. */
const ABORT_ATTEMPTS = 5;

/** What a {@link CommitWatch} works with. */
export interface CommitWatchComponents {
  readonly store: Pick<ContentStore, 'stat' | 'ingests'>;
  /** Runs a hash when it is its turn. */
  readonly inTurn: <T>(hash: () => Promise<T>) => Promise<T>;
  readonly logger: Logger;
}

/**
 * Watches what the client does with a blob that was delivered to its end.
 *
 * containerd verifies what it commits, and commits at once: a blob that is committed cost no hash. One that is not
 * is the sign, and the ingest is hashed to be sure. It is opened at once and kept open, since containerd removes it a
 * tenth of a second after the pull has failed, if no other pull begins meanwhile.
 */
export class CommitWatch {
  readonly #components: CommitWatchComponents;
  readonly #digest: Digest;
  readonly #commitMs: number;
  #ingest: Promise<Ingest | undefined> | undefined;
  #hurried = false;

  constructor(components: CommitWatchComponents, digest: Digest, size: number) {
    this.#components = components;
    this.#digest = digest;
    this.#commitMs = COMMIT_MS + (size / COMMIT_RATE) * 1000;
  }

  /** Whether the client has all of it, and is about to commit it or has failed to. */
  async isSettling(): Promise<boolean> {
    // It is closed when the verdict is there.
    const state = await this.#ingest?.then((it) => it?.state()).catch(() => undefined);
    return state !== 'arriving';
  }

  /** Somebody asks for the blob anew: it is not to be waited for any longer once all of it is there. */
  hurry(): void {
    this.#hurried = true;
  }

  /**
   * Watches until that is known; a wrong ingest has been removed then, where the store was within reach.
   *
   * @throws the signal's reason; StoreUnavailableError
   */
  async run(signal: AbortSignal): Promise<CommitOutcome> {
    this.#ingest = this.#components.store.ingests?.open(this.#digest);
    await using ingest = await this.#ingest;
    const early = await this.#watch(ingest, signal);
    if (early !== undefined) return early;
    if (ingest === undefined) return 'lost';
    const right = await this.#components.inTurn(() => ingest.verify(signal));
    if (right === undefined) return (await this.#isCommitted(signal)) ? 'committed' : 'unknown';
    if (right) return 'right';
    await this.#remove(ingest, signal);
    return 'wrong';
  }

  /** Has the store remove the wrong ingest, so that the next pull does not go on from its bytes. */
  async #remove(ingest: Ingest, signal: AbortSignal): Promise<void> {
    const { logger } = this.#components;
    const backoff = new Backoff();
    for (let attempt = 1; !isAborted(signal); attempt++) {
      try {
        const removed = await ingest.abort(signal);
        logger.info({ digest: this.#digest, removed }, 'ingest of wrong bytes is out of the way');
        return;
      } catch (err) {
        const fields = { err, digest: this.#digest, attempt };
        if (attempt < ABORT_ATTEMPTS) logger.debug(fields, 'ingest of wrong bytes not removed yet');
        else logger.warn(fields, 'ingest of wrong bytes not removed: the next pull may fail too');
        if (attempt === ABORT_ATTEMPTS) return;
        await backoff.wait(signal);
      }
    }
  }

  /** Gives the verdict if it is known without a hash. */
  async #watch(
    ingest: Ingest | undefined,
    signal: AbortSignal,
  ): Promise<CommitOutcome | undefined> {
    const start = performance.now();
    let since = start;
    let before: string | undefined;
    for (;;) {
      if (await this.#isCommitted(signal)) return 'committed';
      const state = (await ingest?.state()) ?? 'removed';
      const now = performance.now();
      if (state !== before) since = now;
      before = state;
      if (state === 'arriving' && now - start > ARRIVAL_MS) return 'unknown';
      if (state === 'removed' && now - since > TRANSACTION_MS) return undefined;
      if (state === 'whole' && (this.#hurried || now - since > this.#commitMs)) return undefined;
      await pause(LOOK_MS, signal);
      signal.throwIfAborted();
    }
  }

  async #isCommitted(signal: AbortSignal): Promise<boolean> {
    return (await this.#components.store.stat(this.#digest, signal)) !== undefined;
  }
}
