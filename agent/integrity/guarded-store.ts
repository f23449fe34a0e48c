import type { Digest } from '../oci/digest.ts';
import { ChangeQueue } from '../store/change-queue.ts';
import {
  StoreUnavailableError,
  type ContentStore,
  type OpenBlob,
  type StoreChange,
  type StoredBlob,
  type StoredImage,
} from '../store/content-store.ts';
import type { Ingests } from '../store/ingests.ts';
import type { Provenance } from '../store/provenance.ts';
import { Deadline } from '../timing/deadline.ts';
import { raceSignal } from '../timing/race-signal.ts';
import type { IntegrityChecker } from './integrity-checker.ts';
import type { Outcome } from './verifier.ts';

/** Milliseconds that `open` waits for a blob to be verified. Less than a peer waits for an answer. */
const PATIENCE_MS = 700;
/** Times that `open` tries when the blob's file is replaced meanwhile. */
const ATTEMPTS = 3;
/** Changes queued for one consumer, as in `store/change-hub.ts`. Beyond it the consumer gets `relist`. */
const MAX_QUEUED = 4_096;

export interface GuardedStoreComponents {
  readonly store: ContentStore;
  readonly checker: IntegrityChecker;
  /** Gets the blobs that are new, and those that have to be checked again. */
  readonly scrubber: { added(digest: Digest): void; checkSoon(digest: Digest): void };
}

/**
 * A store that gives out verified blobs only. A bad blob cannot be opened and is not listed. It is announced as
 * deleted when it is found to be bad, and as added when it is right again. A blob whose file is gone is bad too.
 *
 * An unknown blob is verified when it is opened. If that takes longer than {@link PATIENCE_MS}, `open` rejects with
 * `StoreUnavailableError`, and the verification goes on.
 *
 * Unfinished downloads (`ingests`) pass through unverified.
 */
export class GuardedStore implements ContentStore {
  readonly ingests?: Ingests;
  readonly provenance: Provenance | undefined;
  readonly #store: ContentStore;
  readonly #checker: IntegrityChecker;
  readonly #scrubber: GuardedStoreComponents['scrubber'];
  readonly #patience: number;
  readonly #queues = new Set<ChangeQueue>();

  /** @param patience milliseconds, by default {@link PATIENCE_MS} */
  constructor({ store, checker, scrubber }: GuardedStoreComponents, patience = PATIENCE_MS) {
    this.#store = store;
    if (store.ingests !== undefined) this.ingests = store.ingests;
    this.provenance = store.provenance;
    this.#checker = checker;
    this.#scrubber = scrubber;
    this.#patience = patience;
    checker.listen({
      withheld: (digest) => {
        this.#publish({ kind: 'blob-deleted', digest });
      },
      released: (digest) => {
        this.#publish({ kind: 'blob-added', digest });
      },
      unsettled: (digest) => {
        scrubber.checkSoon(digest);
      },
    });
  }

  images(signal?: AbortSignal): Promise<StoredImage[]> {
    return this.#store.images(signal);
  }

  image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined> {
    return this.#store.image(name, signal);
  }

  async *blobs(signal?: AbortSignal): AsyncGenerator<readonly StoredBlob[], void, undefined> {
    for await (const batch of this.#store.blobs(signal)) {
      const allowed: StoredBlob[] = [];
      for (const blob of batch) {
        if (!(await this.#isWithheld(blob.digest, signal))) allowed.push(blob);
      }
      yield allowed;
    }
  }

  async stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    const blob = await this.#store.stat(digest, signal);
    if (blob === undefined || (await this.#isWithheld(digest, signal))) return undefined;
    return blob;
  }

  async open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const blob = await this.#store.open(digest, signal);
      if (blob === undefined) {
        if (!this.#checker.isLost(digest)) await this.#checker.findLost(digest, signal);
        return undefined;
      }
      let keep = false;
      try {
        let known = await this.#checker.lookUp(blob, signal);
        if (known === 'unknown') {
          await this.#verify(blob, signal);
          known = await this.#checker.lookUp(blob, signal);
        }
        keep = known === 'right';
        if (keep) return blob;
        if (known === 'bad') return undefined;
      } finally {
        if (!keep) await blob[Symbol.asyncDispose]();
      }
      // Still unknown: the file was replaced or removed meanwhile.
    }
    throw new StoreUnavailableError('The blob keeps changing');
  }

  async *changes(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const queue = new ChangeQueue(MAX_QUEUED, either);
    this.#queues.add(queue);
    const following = this.#follow(queue, either);
    try {
      for (;;) {
        const change = await queue.next();
        if (change === undefined) return;
        yield change;
      }
    } finally {
      this.#queues.delete(queue);
      stop.abort();
      await following;
    }
  }

  verifiedAtCommit(blob: OpenBlob, signal?: AbortSignal): Promise<boolean> {
    return this.#checker.isVerifiedAtCommit(blob, signal);
  }

  async #follow(queue: ChangeQueue, signal: AbortSignal): Promise<void> {
    try {
      for await (const change of this.#store.changes(signal)) {
        if (change.kind === 'blob-added') {
          // The bad file may have been replaced. Once the new one is verified, the blob is announced.
          if (this.#checker.isKnownBad(change.digest)) {
            this.#scrubber.checkSoon(change.digest);
            if (await this.#isWithheld(change.digest, signal)) continue;
          }
          queue.push(change);
          this.#scrubber.added(change.digest);
        } else {
          if (change.kind === 'blob-deleted') this.#checker.forget(change.digest);
          queue.push(change);
        }
      }
    } catch (error) {
      queue.fail(error);
    }
  }

  #publish(change: StoreChange): void {
    for (const queue of this.#queues) queue.push(change);
  }

  /** Whether the blob was bad and has not been verified as right since. */
  async #isWithheld(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    if (!this.#checker.isKnownBad(digest)) return false;
    await using blob = await this.#store.open(digest, signal);
    if (blob === undefined) return this.#checker.isLost(digest);
    const known = await this.#checker.lookUp(blob, signal);
    if (known === 'unknown') {
      this.#checker.withholdUntilVerified(blob);
      this.#scrubber.checkSoon(digest);
    }
    return known !== 'right';
  }

  /** @throws StoreUnavailableError when it takes too long or the file is being written */
  async #verify(blob: OpenBlob, signal: AbortSignal | undefined): Promise<void> {
    const outcome = await this.#inTime(this.#checker.verify(blob), signal);
    if (outcome === 'unsettled') throw new StoreUnavailableError('The blob is being written to');
  }

  async #inTime(verifying: Promise<Outcome>, signal: AbortSignal | undefined): Promise<Outcome> {
    // It goes on when this call no longer waits, and may fail then.
    verifying.catch(() => undefined);
    signal?.throwIfAborted();
    using deadline = new Deadline(this.#patience, signal);
    try {
      return await raceSignal(verifying, deadline.signal);
    } catch (error) {
      if (error !== deadline.signal.reason || signal?.aborted === true) throw error;
      throw new StoreUnavailableError('The blob is being verified', { cause: error });
    }
  }
}
