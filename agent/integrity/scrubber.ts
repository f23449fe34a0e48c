import type { Logger } from 'pino';

import type { Digest } from '../oci/digest.ts';
import { StoreUnavailableError, type ContentStore, type OpenBlob } from '../store/content-store.ts';
import { jittered } from '../timing/backoff.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { Wakeup } from '../timing/wakeup.ts';
import type { IntegrityChecker } from './integrity-checker.ts';
import { stateOf, type VerificationResults } from './verification-results.ts';
import { SETTLED_MS, type Subject } from './verifier.ts';

/** Bytes a second at which unknown blobs are read. Faster than the rest, since they cannot be served before. */
const NEW_RATE = 64 * 1024 * 1024;
/** Milliseconds before the first round; up to as much again is added at random. */
const START_MS = 5_000;
/** Milliseconds between two rounds at most, so that a changed file is noticed by then. */
const ROUND_MS = 3_600_000;
/** Milliseconds between two checks whether bad blobs were repaired. */
const BAD_MS = 30_000;
/** Milliseconds after which an unreadable blob is read again. */
const UNREADABLE_MS = 600_000;
/** Blobs that wait to be checked. The next round finds those beyond it. */
const MAX_SCHEDULED = 4_096;

export interface ScrubberComponents {
  /** The store below the guard, which still has the bad blobs. */
  readonly store: ContentStore;
  readonly checker: IntegrityChecker;
  readonly results: VerificationResults;
  readonly logger: Logger;
}

export interface ScrubberInit {
  /** Bytes a second at which blobs are verified again. With 0 a blob is verified only when it is requested. */
  readonly rate: number;
  /** Milliseconds after which a right blob is verified again. */
  readonly interval: number;
  /** Milliseconds; {@link START_MS} by default. */
  readonly startDelay?: number;
  /** Milliseconds; {@link BAD_MS} by default. */
  readonly badInterval?: number;
}

/** Verifies blobs in the background: new ones, changed ones, and in rounds those verified longest ago. */
export class Scrubber {
  readonly #components: ScrubberComponents;
  readonly #init: ScrubberInit;
  /** When each blob is due, on the clock of `performance.now()`. */
  readonly #due = new Map<Digest, number>();
  readonly #wakeup = new Wakeup();
  #rounds = 0;

  constructor(components: ScrubberComponents, init: ScrubberInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Completed rounds through all blobs. */
  get rounds(): number {
    return this.#rounds;
  }

  /** Schedules a new blob at once. One that was verified at commit is not read. */
  added(digest: Digest): void {
    if (this.#init.rate > 0) this.#schedule(digest, 0);
  }

  /** Schedules a blob that is being written or has changed. */
  checkSoon(digest: Digest): void {
    this.#schedule(digest, SETTLED_MS);
  }

  /** Runs until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#follow(signal), this.#recheckBad(signal), this.#goRound(signal)]);
  }

  #schedule(digest: Digest, delay: number): void {
    if (this.#due.size >= MAX_SCHEDULED && !this.#due.has(digest)) return;
    this.#due.set(digest, performance.now() + delay);
    this.#wakeup.call();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = performance.now();
      const due = [...this.#due].find(([, time]) => time <= now);
      if (due !== undefined) {
        this.#due.delete(due[0]);
        await this.#check(due[0], signal);
      } else if (this.#due.size > 0) {
        await pause(Math.min(...this.#due.values()) - now + 1, signal);
      } else {
        await this.#wakeup.wait(signal);
      }
    }
  }

  /** Releases bad blobs that are right again, and forgets those that were removed. */
  async #recheckBad(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(jittered(this.#init.badInterval ?? BAD_MS), signal);
      if (signal.aborted) return;
      for (const digest of [...this.#components.checker.bad.keys()]) {
        await this.#check(digest, signal);
      }
    }
  }

  async #goRound(signal: AbortSignal): Promise<void> {
    const { rate, interval, startDelay = START_MS } = this.#init;
    if (rate === 0) return;
    await pause(startDelay * (1 + Math.random()), signal);
    while (!isAborted(signal)) {
      try {
        await this.#round(signal);
        this.#rounds += 1;
      } catch (error) {
        this.#complain(error, signal);
      }
      await pause(jittered(Math.min(interval, ROUND_MS)), signal);
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { store, results } = this.#components;
    const { rate, interval } = this.#init;
    const held = new Set<Digest>();
    for await (const batch of store.blobs(signal)) for (const { digest } of batch) held.add(digest);
    results.retain(held);
    const due: { digest: Digest; since: number }[] = [];
    for (const digest of held) {
      const since = await this.#rightSince(digest, signal);
      if (since < Date.now() - interval) due.push({ digest, since });
    }
    // Unknown blobs, with -1, come first.
    due.sort((one, other) => one.since - other.since);
    for (const { digest, since } of due) {
      const blob = await this.#subjectOf(digest, signal);
      if (blob === undefined) continue;
      try {
        await this.#components.checker.verifySlowly(blob, since < 0 ? NEW_RATE : rate, signal);
      } catch (error) {
        this.#complain(error, signal);
      }
      if (signal.aborted) return;
    }
  }

  /**
   * When the blob was last known to be right, in milliseconds since 1970. -1 when it is unknown, `Infinity` when
   * there is nothing to verify.
   */
  async #rightSince(digest: Digest, signal: AbortSignal): Promise<number> {
    const { store, checker, results } = this.#components;
    await using blob = await store.open(digest, signal);
    if (blob === undefined) {
      await checker.findLost(digest, signal);
      return Infinity;
    }
    // Without a file a change cannot be noticed, so the blob is verified only when it is requested.
    if (blob.file === undefined) return Infinity;
    const known = await checker.lookUp(blob, signal);
    if (known !== 'right') return known === 'bad' ? Infinity : -1;
    const result = results.get(digest);
    if (result?.state === stateOf(blob)) return result.checkedAt;
    return Number(blob.file.state.mtimeNs) / 1e6;
  }

  /** Verifies one blob if its state is unknown, or if it was unreadable long ago. */
  async #check(digest: Digest, signal: AbortSignal): Promise<void> {
    const { store, checker, results } = this.#components;
    try {
      await using blob = await store.open(digest, signal);
      if (blob === undefined) {
        if (!(await checker.findLost(digest, signal))) checker.forget(digest);
        return;
      }
      if (blob.file === undefined && !checker.isKnownBad(digest)) return;
      const known = await checker.lookUp(blob, signal);
      const result = results.get(digest);
      const retry =
        result?.finding === 'unreadable' && Date.now() - result.checkedAt > UNREADABLE_MS;
      if (known === 'unknown' || (known === 'bad' && retry)) {
        await checker.verifySlowly(blob, NEW_RATE, signal);
      }
    } catch (error) {
      this.#complain(error, signal);
    }
  }

  async #subjectOf(digest: Digest, signal: AbortSignal): Promise<Subject | undefined> {
    let blob: OpenBlob | undefined;
    try {
      blob = await this.#components.store.open(digest, signal);
    } finally {
      await blob?.[Symbol.asyncDispose]();
    }
    return blob;
  }

  #complain(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    const level = error instanceof StoreUnavailableError ? 'debug' : 'warn';
    this.#components.logger[level]({ err: error }, 'background verification failed');
  }
}
