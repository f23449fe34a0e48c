import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestState } from '../../store/ingests.ts';
import { Backoff } from '../../timing/backoff.ts';
import { isAborted, pause } from '../../timing/pause.ts';

/** What became of a blob that was delivered to its end; the label of `peerglass_verdicts_total`. */
export type CommitOutcome =
  /** The client committed it, and so found it right. */
  | 'committed'
  /** Not committed, but its hash is right. */
  | 'right'
  /** Not committed, and its hash is wrong. */
  | 'wrong'
  /** Not committed, and removed before it could be hashed. */
  | 'lost'
  /** The client gave it up before it had received all of it. */
  | 'unknown';

/** Interval between two checks of an ingest, in milliseconds. */
const CHECK_MS = 50;

/** Longest time between the removal of an ingest and the appearance of the committed blob, in milliseconds. */
const TRANSACTION_MS = 500;

/** Time in which a client should commit a complete ingest, in milliseconds. After that it is hashed. */
const COMMIT_MS = 500;

/** Bytes per second at which the disk completes a commit; the time for the size comes on top of {@link COMMIT_MS}. */
const COMMIT_RATE = 200_000_000;

/** Longest time in which the client receives what has been sent, in milliseconds. */
const ARRIVAL_MS = 60_000;

/** Attempts to remove a wrong ingest. */
const ABORT_ATTEMPTS = 5;

/** Parts of a {@link CommitWatch}. */
export interface CommitWatchComponents {
  readonly store: Pick<ContentStore, 'stat'>;
  /** Runs a hash when no other one runs. */
  readonly hashInTurn: <T>(hash: () => Promise<T>) => Promise<T>;
  /** Reads the bytes of an ingest that was found wrong and removed, before it is closed. Never rejects. */
  readonly readWrong?: (ingest: Ingest, signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
}

/** A blob that was delivered to its end. */
export interface CommitWatchInit {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** Its ingest, which the watch closes; `undefined` when it could not be opened. Never rejects. */
  readonly opened: Promise<Ingest | undefined>;
}

/** The state of the ingest as of the last check, and when that state began. */
interface Phase {
  readonly state: IngestState;
  /** Milliseconds of `performance.now()`. */
  readonly since: number;
}

/** What follows from one check. */
type Decision = 'check-again' | 'hash' | Extract<CommitOutcome, 'committed' | 'unknown'>;

/**
 * Watches whether the client commits a blob that was delivered to its end.
 *
 * containerd verifies the blobs that it commits, and commits at once: a committed blob needs no hash. If a blob is not
 * committed, it is probably wrong, and its ingest is hashed to make sure. The ingest is kept open until then: containerd
 * removes it less than a tenth of a second after the pull has failed, unless another pull begins meanwhile.
 */
export class CommitWatch {
  readonly #components: CommitWatchComponents;
  readonly #digest: Digest;
  readonly #commitMs: number;
  readonly #opened: Promise<Ingest | undefined>;
  #isHurried = false;

  constructor(components: CommitWatchComponents, { digest, size, opened }: CommitWatchInit) {
    this.#components = components;
    this.#digest = digest;
    this.#opened = opened;
    this.#commitMs = COMMIT_MS + (size / COMMIT_RATE) * 1000;
  }

  /** Whether the client has received all of it: it is about to commit, or has failed to. */
  async isSettling(): Promise<boolean> {
    // The ingest is closed, and fails, once the outcome is known.
    const state = await this.#opened.then((it) => it?.state()).catch(() => undefined);
    return state !== 'arriving';
  }

  /** From now on a complete ingest is hashed at once: a request for the same blob waits for the outcome. */
  hurry(): void {
    this.#isHurried = true;
  }

  /**
   * Watches until the outcome is known. A wrong ingest has been removed by then, where the store was reachable.
   *
   * @throws the signal's reason; StoreUnavailableError
   */
  async run(signal: AbortSignal): Promise<CommitOutcome> {
    await using ingest = await this.#opened;
    const decision = await this.#watch(ingest, signal);
    if (decision !== 'hash') return decision;
    if (ingest === undefined) return 'lost';
    const isRight = await this.#components.hashInTurn(() => ingest.verify(signal));
    if (isRight === undefined) return (await this.#isCommitted(signal)) ? 'committed' : 'unknown';
    if (isRight) return 'right';
    await this.#remove(ingest, signal);
    await this.#components.readWrong?.(ingest, signal);
    return 'wrong';
  }

  /** Checks again and again until a decision is possible. */
  async #watch(
    ingest: Ingest | undefined,
    signal: AbortSignal,
  ): Promise<Exclude<Decision, 'check-again'>> {
    const start = performance.now();
    let phase: Phase | undefined;
    for (;;) {
      if (await this.#isCommitted(signal)) return 'committed';
      const state = (await ingest?.state()) ?? 'removed';
      const now = performance.now();
      if (state !== phase?.state) phase = { state, since: now };
      const decision = this.#decide(phase, start, now);
      if (decision !== 'check-again') return decision;
      await pause(CHECK_MS, signal);
      signal.throwIfAborted();
    }
  }

  #decide({ state, since }: Phase, start: number, now: number): Decision {
    switch (state) {
      case 'arriving':
        return now - start > ARRIVAL_MS ? 'unknown' : 'check-again';
      case 'whole':
        return this.#isHurried || now - since > this.#commitMs ? 'hash' : 'check-again';
      case 'removed':
        return now - since > TRANSACTION_MS ? 'hash' : 'check-again';
    }
  }

  /** Has the store remove the wrong ingest, so that the next pull does not resume from its bytes. */
  async #remove(ingest: Ingest, signal: AbortSignal): Promise<void> {
    const { logger } = this.#components;
    const backoff = new Backoff();
    for (let attempt = 1; !isAborted(signal); attempt++) {
      try {
        const removed = await ingest.abort(signal);
        logger.info({ digest: this.#digest, removed }, 'ingest of wrong bytes is removed');
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

  async #isCommitted(signal: AbortSignal): Promise<boolean> {
    return (await this.#components.store.stat(this.#digest, signal)) !== undefined;
  }
}
