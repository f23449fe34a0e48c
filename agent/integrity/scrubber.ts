import type { Logger } from 'pino';

import type { Digest } from '../oci/digest.ts';
import { StoreUnavailableError, type ContentStore, type OpenBlob } from '../store/content-store.ts';
import { jittered } from '../timing/backoff.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { Wakeup } from '../timing/wakeup.ts';
import type { IntegrityChecker } from './integrity-checker.ts';
import { stateOf, type VerificationResults } from './verification-results.ts';
import { SETTLED_MS, type Subject } from './verifier.ts';

/** Bytes a second that are read of blobs that nothing is known of: they are of use to nobody until then. */
const NEW_RATE = 64 * 1024 * 1024;
/** Milliseconds between the start and the first round; as much again at random. */
const START_MS = 5_000;
/** Longest time between two rounds, in milliseconds: a file that was changed is noticed by then. */
const ROUND_MS = 3_600_000;
/** Milliseconds between two looks whether what is bad has been mended. */
const BAD_MS = 30_000;
/** A blob that could not be read is tried again after so many milliseconds. */
const UNREADABLE_MS = 600_000;
/** Most blobs that wait to be looked at; beyond it the next round finds them. */
const MAX_LOOKS = 4_096;

/** What a {@link Scrubber} works with. */
export interface ScrubberComponents {
  /** The store itself, which still shows what is withheld. */
  readonly store: ContentStore;
  readonly judge: IntegrityChecker;
  readonly verdicts: VerificationResults;
  readonly logger: Logger;
}

/** Options of a {@link Scrubber}. */
export interface ScrubberInit {
  /** Bytes a second that are read to verify blobs again; 0: nothing is verified before it is asked for. */
  readonly rate: number;
  /** Milliseconds after which a blob that was right is read again. */
  readonly interval: number;
  /** Default {@link START_MS}. */
  readonly startDelay?: number;
  /** Default {@link BAD_MS}. */
  readonly badInterval?: number;
}

/** Reads blobs in the background: new ones, changed ones, and in turn all that have not been read for long. */
export class Scrubber {
  readonly #components: ScrubberComponents;
  readonly #init: ScrubberInit;
  /** When each is to be looked at, on the clock of `performance.now()`. */
  readonly #looks = new Map<Digest, number>();
  readonly #wakeup = new Wakeup();
  #rounds = 0;

  constructor(components: ScrubberComponents, init: ScrubberInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Rounds through all blobs that have been completed. */
  get rounds(): number {
    return this.#rounds;
  }

  /** A blob has come: verified in the background unless somebody vouches for it. */
  newcomer(digest: Digest): void {
    if (this.#init.rate > 0) this.#look(digest, 0);
  }

  /** It could not be said what the blob is, or it has changed. */
  lookSoon(digest: Digest): void {
    this.#look(digest, SETTLED_MS);
  }

  /** Runs until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#follow(signal), this.#recheckBad(signal), this.#goRound(signal)]);
  }

  #look(digest: Digest, delay: number): void {
    if (this.#looks.size >= MAX_LOOKS && !this.#looks.has(digest)) return;
    this.#looks.set(digest, performance.now() + delay);
    this.#wakeup.call();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = performance.now();
      const due = [...this.#looks].find(([, time]) => time <= now);
      if (due !== undefined) {
        this.#looks.delete(due[0]);
        await this.#visit(due[0], signal);
      } else if (this.#looks.size > 0) {
        await pause(Math.min(...this.#looks.values()) - now + 1, signal);
      } else {
        await this.#wakeup.wait(signal);
      }
    }
  }

  /** What became right is released and what is gone is forgotten. */
  async #recheckBad(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(jittered(this.#init.badInterval ?? BAD_MS), signal);
      if (signal.aborted) return;
      for (const digest of [...this.#components.judge.bad.keys()]) {
        await this.#visit(digest, signal);
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
    const { store, verdicts } = this.#components;
    const { rate, interval } = this.#init;
    const held = new Set<Digest>();
    for await (const batch of store.blobs(signal)) for (const { digest } of batch) held.add(digest);
    verdicts.retain(held);
    const due: { digest: Digest; since: number }[] = [];
    for (const digest of held) {
      const since = await this.#rightSince(digest, signal);
      if (since < Date.now() - interval) due.push({ digest, since });
    }
    // What nothing is known of comes first.
    due.sort((one, other) => one.since - other.since);
    for (const { digest, since } of due) {
      const blob = await this.#see(digest, signal);
      if (blob === undefined) continue;
      try {
        await this.#components.judge.findSlowly(blob, since < 0 ? NEW_RATE : rate, signal);
      } catch (error) {
        this.#complain(error, signal);
      }
      if (signal.aborted) return;
    }
  }

  /** When the blob was last known to be right, in milliseconds since 1970; -1 when it is not. */
  async #rightSince(digest: Digest, signal: AbortSignal): Promise<number> {
    const { store, judge, verdicts } = this.#components;
    await using blob = await store.open(digest, signal);
    if (blob === undefined) return Infinity;
    // What comes through containerd is only read when somebody asks for it: nobody knows when it changes.
    if (blob.file === undefined) return Infinity;
    const known = await judge.recall(blob, signal);
    if (known !== 'right') return known === 'bad' ? Infinity : -1;
    const verdict = verdicts.get(digest);
    if (verdict?.state === stateOf(blob)) return verdict.checkedAt;
    return Number(blob.file.state.mtimeNs) / 1e6;
  }

  /** Brings what is known of one blob up to date. */
  async #visit(digest: Digest, signal: AbortSignal): Promise<void> {
    const { store, judge, verdicts } = this.#components;
    try {
      await using blob = await store.open(digest, signal);
      if (blob === undefined) {
        judge.gone(digest);
        return;
      }
      if (blob.file === undefined && !judge.isSuspect(digest)) return;
      const known = await judge.recall(blob, signal);
      const verdict = verdicts.get(digest);
      const retry =
        verdict?.finding === 'unreadable' && Date.now() - verdict.checkedAt > UNREADABLE_MS;
      if (known === 'unknown' || (known === 'bad' && retry)) {
        await judge.findSlowly(blob, NEW_RATE, signal);
      }
    } catch (error) {
      this.#complain(error, signal);
    }
  }

  async #see(digest: Digest, signal: AbortSignal): Promise<Subject | undefined> {
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
    this.#components.logger[level]({ err: error }, 'could not verify in the background');
  }
}
